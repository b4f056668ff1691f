import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import * as hooks from "node:test";
import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeKeyPairsCommand,
  DescribeSecurityGroupsCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
} from "@aws-sdk/client-ec2";
import { assertNoLeaks, type Snapshot, snapshot } from "./leaks.ts";
import { programPath } from "./programs.ts";
import { missing } from "./skips.ts";

/**
 * The images that every region has from the beginning (test/data/ec2/amis.json); they belong to another account. They
 * have no dates there: the server can read those once only, for the first region.
 */
export const BASE_AMI = "ami-0ba5e000000000001";
export const OTHER_AMI = "ami-0ba5e000000000002";
/** Of the base alone. */
export const BASE_NAME = "toroid-test-base-*";
/** Of both. */
export const BASE_OWNER = "099720109477";
/** Whoever asks is this account. */
export const EC2_ACCOUNT = "123456789012";
export const EC2_REGION = "us-east-1";
/** The server believes anything. */
export const EC2_CREDENTIALS = { accessKeyId: "test", secretAccessKey: "test" } as const;

const START_MS = 60_000;

/** What is in a region, by id: what a bake makes, and must not leave behind. */
export interface Ec2Things {
  /** Those that are not terminated. */
  readonly instances: readonly string[];
  readonly volumes: readonly string[];
  readonly snapshots: readonly string[];
  readonly images: readonly string[];
  readonly keyPairs: readonly string[];
  /** Besides the default one, which every network has. */
  readonly securityGroups: readonly string[];
}

export const NOTHING_IN_EC2: Ec2Things = {
  instances: [],
  volumes: [],
  snapshots: [],
  images: [],
  keyPairs: [],
  securityGroups: [],
};

/**
 * A real EC2-compatible server (moto) on a port of its own, which serves CloudFormation, SQS and S3 as well. It keeps
 * everything in memory, and is gone at the end of the block that holds it, or with its process. A test says
 * `needs(t, { ec2: true })`.
 */
export class Ec2Server implements AsyncDisposable {
  readonly endpoint: string;
  readonly pid: number;
  readonly #end: () => Promise<void>;
  readonly #clients = new Map<string, EC2Client>();

  private constructor(endpoint: string, pid: number, end: () => Promise<void>) {
    this.endpoint = endpoint;
    this.pid = pid;
    this.#end = end;
  }

  static async start(): Promise<Ec2Server> {
    const binary = programPath("moto_server");
    if (binary === undefined) throw new Error("the EC2-compatible server is missing: sh scripts/setup --for-tests");
    // The kernel ends it with us, however we end.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", binary, "--host", "127.0.0.1", "--port", "0"], {
      stdio: ["ignore", "ignore", "pipe"],
      env: {
        ...process.env,
        MOTO_AMIS_PATH: join(import.meta.dirname, "..", "data", "ec2", "amis.json"),
        MOTO_ENABLE_AMI_VALIDATION: "true",
      },
    });
    const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
    const end = async (): Promise<void> => {
      child.kill("SIGKILL");
      await exited;
    };
    const said: string[] = [];
    const endpoint = new Promise<string>((resolve, reject) => {
      const gone = (why: string): void => reject(new Error(`moto_server ${why}: ${said.slice(-10).join("\n")}`));
      const patience = setTimeout(() => gone(`was not ready after ${START_MS / 1000} s`), START_MS);
      child.once("error", (error) => gone(error.message));
      void exited.then(() => gone("ended"));
      // It prints a line for each request, which has to be read.
      createInterface({ input: child.stderr }).on("line", (line) => {
        said.push(line);
        said.splice(0, said.length - 10);
        const [, url] = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(line) ?? [];
        if (url === undefined) return;
        clearTimeout(patience);
        resolve(url);
      });
    });
    try {
      return new Ec2Server(await endpoint, child.pid ?? 0, end);
    } catch (error) {
      await end();
      throw error;
    }
  }

  /** For programs that read AWS' own variables: `aws`, Packer, an SDK. */
  get env(): Readonly<Record<string, string>> {
    return {
      AWS_ENDPOINT_URL: this.endpoint,
      AWS_ACCESS_KEY_ID: EC2_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: EC2_CREDENTIALS.secretAccessKey,
      AWS_DEFAULT_REGION: EC2_REGION,
      AWS_REGION: EC2_REGION,
      AWS_EC2_METADATA_DISABLED: "true",
    };
  }

  client(region: string = EC2_REGION): EC2Client {
    const known = this.#clients.get(region);
    if (known !== undefined) return known;
    const client = new EC2Client({ endpoint: this.endpoint, region, credentials: EC2_CREDENTIALS, maxAttempts: 1 });
    this.#clients.set(region, client);
    return client;
  }

  /** Everything of our account in a region: compared with `NOTHING_IN_EC2`, or with what a test made. */
  async things(region: string = EC2_REGION): Promise<Ec2Things> {
    const client = this.client(region);
    const [instances, volumes, snapshots, images, keyPairs, securityGroups] = await Promise.all([
      client.send(new DescribeInstancesCommand({})),
      client.send(new DescribeVolumesCommand({})),
      client.send(new DescribeSnapshotsCommand({})),
      client.send(new DescribeImagesCommand({ Owners: ["self"] })),
      client.send(new DescribeKeyPairsCommand({})),
      client.send(new DescribeSecurityGroupsCommand({})),
    ]);
    const there = (instances.Reservations ?? [])
      .flatMap(({ Instances }) => Instances ?? [])
      .filter(({ State }) => State?.Name !== "terminated");
    return {
      instances: sorted(there.map(({ InstanceId }) => InstanceId)),
      volumes: sorted((volumes.Volumes ?? []).map(({ VolumeId }) => VolumeId)),
      // Those of the base images belong to another account, and are listed whoever is asked for.
      snapshots: sorted(
        (snapshots.Snapshots ?? []).filter((one) => one.OwnerId === EC2_ACCOUNT).map(({ SnapshotId }) => SnapshotId),
      ),
      images: sorted((images.Images ?? []).map(({ ImageId }) => ImageId)),
      keyPairs: sorted((keyPairs.KeyPairs ?? []).map(({ KeyName }) => KeyName)),
      securityGroups: sorted(
        (securityGroups.SecurityGroups ?? [])
          .filter((one) => one.GroupName !== "default")
          .map(({ GroupId }) => GroupId),
      ),
    };
  }

  /** Forgets everything, in every region and of every account: as it was at the beginning. */
  async reset(): Promise<void> {
    const answer = await fetch(`${this.endpoint}/moto-api/reset`, { method: "POST" });
    if (!answer.ok) throw new Error(`the EC2-compatible server was not reset: ${answer.status}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients.values()) client.destroy();
    await this.#end();
  }
}

/** A server for all tests of a file, told to `take` before the first, where there is one; nothing of it may be left. */
export function ec2ForAll(take: (server: Ec2Server) => void): void {
  let server: Ec2Server | undefined;
  let leaks: Snapshot;
  hooks.before(async () => {
    leaks = await snapshot();
    if (missing({ ec2: true }) !== undefined) return;
    server = await Ec2Server.start();
    take(server);
  });
  hooks.after(async () => {
    await server?.[Symbol.asyncDispose]();
    await assertNoLeaks(leaks);
  });
}

function sorted(ids: readonly (string | undefined)[]): readonly string[] {
  return ids.flatMap((id) => id ?? []).sort();
}
