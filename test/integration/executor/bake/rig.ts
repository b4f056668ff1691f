/** An executor that bakes AMIs in an EC2-compatible server, with a machine behind its instances. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before } from "node:test";
import type { StageId } from "../../../../protocol/ids.ts";
import type { AmiPlan, StagePlan } from "../../../../protocol/pipeline/plan.ts";
import { BASE_AMI, EC2_CREDENTIALS, EC2_REGION, Ec2Server } from "../../../support/ec2.ts";
import { Ec2Front } from "../../../support/ec2-front.ts";
import { Instance } from "../../../support/instance.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../../../support/leaks.ts";
import type { Files } from "../../../support/repo.ts";
import { missing } from "../../../support/skips.ts";
import { PLAIN_AMI } from "../../../unit/coordinator/samples.ts";
import { Rig, type RunningExecutor, SANDBOX } from "../rig.ts";

export const NEEDS = { root: true, path: SANDBOX, program: ["git", "packer"], ec2: true } as const;
export const T = { timeout: 120_000 };

export function bakedBy(script: readonly string[], ami: Partial<AmiPlan> = {}, more: Partial<StagePlan> = {}) {
  return {
    ami: { ...PLAIN_AMI, ...ami },
    phases: { install: [], script: [...script], publish: [], after: [] },
    ...more,
  };
}

const SHARED = "shared";

export class BakeRig implements AsyncDisposable {
  readonly rig: Rig;
  readonly ec2: Ec2Server;
  readonly front: Ec2Front;
  readonly instance: Instance;
  #executor: RunningExecutor | null = null;

  readonly #cleanup: AsyncDisposableStack;

  private constructor(rig: Rig, ec2: Ec2Server, front: Ec2Front, instance: Instance, cleanup: AsyncDisposableStack) {
    this.rig = rig;
    this.ec2 = ec2;
    this.front = front;
    this.instance = instance;
    this.#cleanup = cleanup;
  }

  static async start(files: Files): Promise<BakeRig> {
    await using cleanup = new AsyncDisposableStack();
    const ec2 = cleanup.use(await Ec2Server.start());
    const front = cleanup.use(await Ec2Front.start(ec2));
    const instance = cleanup.use(await Instance.start(SANDBOX, () => front.keys));
    const rig = cleanup.use(await Rig.start(files));
    return new BakeRig(rig, ec2, front, instance, cleanup.move());
  }

  /** What an executor is told that bakes here. */
  async variables(more: Readonly<Record<string, string>> = {}): Promise<Readonly<Record<string, string>>> {
    const source = join(this.rig.dir.path, "bake-source.json");
    const attributes = {
      source_ami: BASE_AMI,
      instance_type: "t3.micro",
      ssh_host: "127.0.0.1",
      ssh_port: this.instance.port,
      ssh_username: "root",
      temporary_security_group_source_cidrs: ["10.20.0.0/16"],
    };
    await writeFile(source, JSON.stringify(attributes));
    return {
      TOROID_BAKE_REGION: EC2_REGION,
      TOROID_BAKE_ENDPOINT: this.front.endpoint,
      TOROID_BAKE_ACCESS_KEY_ID: EC2_CREDENTIALS.accessKeyId,
      TOROID_BAKE_SECRET_ACCESS_KEY: EC2_CREDENTIALS.secretAccessKey,
      TOROID_BAKE_SOURCE: source,
      ...more,
    };
  }

  /** One for all who need nothing of their own; there until the end. */
  async executor(): Promise<void> {
    if (this.#executor !== null) return;
    this.#executor = this.rig.executor("shared", await this.variables({ TOROID_POOL: SHARED }));
  }

  /** Queues a stage for it. */
  async bake(stage: Partial<StagePlan>): Promise<StageId> {
    await this.executor();
    return this.rig.queue(await this.rig.stageWork(stage), SHARED);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#executor?.[Symbol.asyncDispose]();
    await this.#cleanup.disposeAsync();
  }

  async forget(): Promise<void> {
    await this.ec2.reset();
    this.front.calls.length = 0;
    this.front.refuse = () => null;
    this.front.change = (_, body) => body;
    this.front.before = () => Promise.resolve();
  }
}

/** One for all tests of a file, told to `take` before the first; after the last nothing of it may be left. */
export function bakeRigForAll(files: Files, take: (rig: BakeRig) => void): void {
  let rig: BakeRig | undefined;
  let leaks: Snapshot;
  before(async () => {
    leaks = await snapshot();
    if (missing(NEEDS) !== undefined) return;
    rig = await BakeRig.start(files);
    take(rig);
  });
  after(async () => {
    await rig?.[Symbol.asyncDispose]();
    await assertNoLeaks(leaks);
  });
}
