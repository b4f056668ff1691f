/** The system that the documents' examples are run against, and what each of them takes for granted. */
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { QUEUE_CREDENTIALS, QUEUE_REGION } from "../../../kit/queue-server.ts";
import { BucketServer } from "../../support/bucket.ts";
import { NatsServer } from "../../support/nats.ts";
import { programPath } from "../../support/programs.ts";
import { GitRepo } from "../../support/repo.ts";
import { Rig } from "../../support/rig.ts";
import { until } from "../../support/until.ts";
import { weakHere } from "../../support/weak.ts";

export const PATIENCE = { withinMs: 60_000 };
export const ROOT = join(import.meta.dirname, "..", "..", "..");
export const REPOSITORY = "acme/api";
const FILES = {
  ".toroid.yml": `kind: application
script: [echo built]
environments:
  prod: { run: 'echo "in prod \${REGION:-nowhere}"', approval: { self: true } }
`,
};
const PROD = `/api/v1/environments/${REPOSITORY}/prod`;

/** Our words by those of the documents, for which they stand. */
export type Words = Readonly<Record<string, string>>;

export class ManualSystem implements AsyncDisposable {
  readonly rig: Rig;
  readonly repo: GitRepo;
  readonly bucket: BucketServer;
  /** Of a coordinator that lets in who has a token. */
  readonly guarded: string;
  /** Empty, for a backup. */
  readonly other: NatsServer;
  /** Where a person is who types the examples; `bin` in it comes first on their PATH. */
  readonly place: string;

  private constructor(
    rig: Rig,
    guarded: string,
    repo: GitRepo,
    bucket: BucketServer,
    other: NatsServer,
    place: string,
  ) {
    this.rig = rig;
    this.guarded = guarded;
    this.repo = repo;
    this.bucket = bucket;
    this.other = other;
    this.place = place;
  }

  static async start(): Promise<ManualSystem> {
    await using undo = new AsyncDisposableStack();
    const rig = undo.use(await Rig.start());
    const guarded = await (await rig.coordinator({ TOROID_AUTH: "token" })).url;
    await rig.coordinator();
    rig.executor();
    const bucket = undo.use(await BucketServer.start());
    const other = undo.use(await NatsServer.start());
    const place = join(rig.dir.path, "manual");
    await mkdir(join(place, "bin"), { recursive: true });
    const program = async (name: string, line: string): Promise<void> => {
      await writeFile(join(place, "bin", name), `#!/bin/sh\n${line}\n`);
      await chmod(join(place, "bin", name), 0o755);
    };
    await program("toroid", `exec '${process.execPath}' '${join(ROOT, "bin", "toroid.ts")}' "$@"`);
    await program("sudo", 'exec "$@"'); // the tests are root already
    for (const name of ["nats", "aws"]) await symlink(programPath(name) ?? name, join(place, "bin", name));
    const system = new ManualSystem(rig, guarded, await rig.repo(FILES), bucket, other, place);
    undo.move();
    return system;
  }

  get checkout(): string {
    return join(this.place, "checkout");
  }

  get backup(): string {
    return join(this.place, "backup");
  }

  /** What a person's shell has. */
  get environment(): NodeJS.ProcessEnv {
    const { rig, place } = this;
    return {
      ...process.env,
      PATH: `${join(place, "bin")}:${process.env["PATH"] ?? ""}`,
      HOME: place,
      USER: "bob",
      SUDO_USER: "",
      TOROID_URL: rig.url,
      U: rig.url,
      NATS_URL: rig.nats.url,
      TOROID_NATS_URL: rig.nats.url,
      TOROID_QUEUE_URL: rig.queue.queueUrl,
      TOROID_QUEUE_ENDPOINT: rig.queue.endpoint,
      AWS_REGION: QUEUE_REGION,
      AWS_DEFAULT_REGION: QUEUE_REGION,
      AWS_ACCESS_KEY_ID: QUEUE_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: QUEUE_CREDENTIALS.secretAccessKey,
    };
  }

  /** A new build that waits for approval. */
  async waiting(): Promise<Words> {
    await this.repo.commit();
    await this.rig.push(this.repo, { fullName: REPOSITORY });
    return numbered(await this.#asked());
  }

  /** A new build that is live. */
  async live(): Promise<Words> {
    await this.waiting();
    const number = await this.approve();
    const isLive = async (): Promise<boolean> =>
      (await this.rig.environment("prod", REPOSITORY))?.live?.number === number;
    await until(`#${number} to be live`, isLive, PATIENCE);
    return numbered(number);
  }

  async liveTwice(): Promise<Words> {
    await this.live();
    return this.live();
  }

  /** The last build that there is, once it is known what it is to do. */
  async latest(): Promise<Words> {
    const planned = async (): Promise<number | null> => {
      const last = (await this.rig.builds(REPOSITORY)).at(-1);
      return last?.stages.some(({ name }) => name === "build") === true ? last.number : null;
    };
    return numbered(await until("the last build to have a plan", planned, PATIENCE));
  }

  /** The id of a token that there is. */
  async someToken(): Promise<Words> {
    const { tokens } = await this.rig.get<{ readonly tokens: readonly { readonly id: string }[] }>("/api/v1/tokens");
    return { "0f3c9a17d2b84e65": tokens[0]?.id ?? "" };
  }

  /** Lets the build of the newest commit go, once it asks. */
  async approve(): Promise<number> {
    const number = await this.#asked();
    await this.rig.post(`${PROD}/approvals`, { build: number });
    return number;
  }

  /** Does something again and again, until a program that listens has heard of it. */
  async heard(said: () => string, what: RegExp): Promise<void> {
    const isHeard = async (): Promise<boolean> => {
      await this.rig.post(`${PROD}/pause`, { reason: "for those who listen" });
      await this.rig.post(`${PROD}/resume`, {});
      return what.test(said());
    };
    await until(`it to hear ${String(what)}`, isHeard, PATIENCE);
  }

  async executorWith(pool: string, labels: readonly string[]): Promise<void> {
    interface List {
      readonly executors: readonly { readonly pool: string; readonly labels: readonly string[] }[];
    }
    const isThere = async (): Promise<boolean> => {
      const { executors } = await this.rig.get<List>("/api/v1/executors");
      return executors.some((one) => one.pool === pool && labels.every((label) => one.labels.includes(label)));
    };
    await until(`an executor of ${pool} with ${labels.join()}`, isThere, PATIENCE);
  }

  executorEnvironment(name: string): Words {
    return {
      TOROID_EXECUTOR_STATE: join(this.place, `state-${name}`),
      TOROID_SLOTS: "1",
      TOROID_ALLOW_WEAK: weakHere().join(","),
      TOROID_NETWORK: "host",
    };
  }

  /** A commit that is not pushed yet, and where it can be pushed to. */
  async upstream(): Promise<Words> {
    const bare = join(this.place, "upstream.git");
    await this.repo.git("clone", "--quiet", "--bare", ".", bare);
    await this.repo.git("remote", "add", "origin", bare);
    await this.repo.git("push", "--quiet", "--set-upstream", "origin", "main");
    await this.repo.commit();
    return {};
  }

  /** Of a person who has no `.toroid.yml` yet. */
  async beginCheckout(): Promise<Words> {
    await using own = await GitRepo.create({ files: { Makefile: "test:\n\t@echo tested\n" } });
    await own.git("clone", "--quiet", ".", this.checkout);
    return {};
  }

  /** The number of the newest commit's build, once it waits for approval. */
  async #asked(): Promise<number> {
    const commit = await this.repo.head();
    const find = async (): Promise<number | undefined> => {
      const number = (await this.rig.builds(REPOSITORY)).find((one) => one.commit === commit)?.number;
      const lane = await this.rig.environment("prod", REPOSITORY);
      const isAsked = lane?.waiting.some((one) => one.number === number && one.approval !== null);
      return isAsked === true ? number : undefined;
    };
    return until("the newest build to wait for approval", find, PATIENCE);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.other[Symbol.asyncDispose]();
    await this.bucket[Symbol.asyncDispose]();
    await this.rig[Symbol.asyncDispose]();
  }
}

function numbered(number: number): Words {
  return { "api#42": `api#${number}`, "api/42": `api/${number}`, '"build":42': `"build":${number}` };
}
