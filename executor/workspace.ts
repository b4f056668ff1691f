/** The place of one attempt on this host: a directory of its own, and the sandbox runs in it. */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { StagePlan } from "../protocol/pipeline/plan.ts";
import { BORROWED_OBJECTS } from "./checkout.ts";
import type { LogStream } from "./log-stream.ts";
import type { SlotNetwork } from "./network.ts";
import { removeTree } from "./trees.ts";
import { CHECKOUT_DIR, type Drive, STEPS_DIR } from "./workspace/driver.ts";
import { runHelper } from "./workspace/helper.ts";
import { type Bind, optionBytes } from "./workspace/options.ts";
import type { OutputPipe } from "./workspace/pipe.ts";
import { ARTIFACT_DIR } from "./workspace/variables.ts";
import type { Verdict } from "./workspace/verdict.ts";

/** What a slot has of its own, whatever runs in it. */
export interface Slot {
  /** First of the 65,536 uids that its sandboxes have. */
  readonly uidBase: number;
  readonly pipe: OutputPipe;
  /** Null: a build that wants a network gets the host's. */
  readonly network: SlotNetwork | null;
}

/** What is the same for all workspaces of an executor. */
export interface SandboxSettings {
  readonly helper: string;
  readonly cgroup: string | null;
  /** What it may fail to hold builds to. */
  readonly allowWeak: readonly string[];
  /** What this host cannot hold builds to, as `weak` of a stage says it. */
  readonly weak: readonly string[];
  /** Of the host, hidden when the image is the host. */
  readonly masks: readonly string[];
}

/** What all runs of one workspace share. */
export interface Furnishing {
  readonly image: string;
  readonly stage: StagePlan;
  readonly variables: Readonly<Record<string, string>>;
  readonly hostname: string;
  /** The mirror's objects; null when the checkout has its own. */
  readonly objects: string | null;
  /** What of the world it reaches when it lists hosts. */
  readonly places: readonly string[];
  /** Unpacked files of an earlier stage. */
  readonly artifact: string | null;
}

export interface RunSettings {
  readonly drive: Drive;
  readonly wallMs: number;
  readonly cancelled: AbortSignal;
}

/** From TERM to KILL. */
const GRACE_MS = 5_000;

export class Workspace implements AsyncDisposable {
  readonly path: string;
  readonly #slot: Slot;
  readonly #settings: SandboxSettings;
  readonly #abandoned: AbortSignal;

  private constructor(path: string, slot: Slot, settings: SandboxSettings, abandoned: AbortSignal) {
    this.path = path;
    this.#slot = slot;
    this.#settings = settings;
    this.#abandoned = abandoned;
  }

  /** Makes it below `root`, where only we can look; {@link prepare} does the rest. */
  static async make(root: string, slot: Slot, settings: SandboxSettings, abandoned: AbortSignal): Promise<Workspace> {
    const path = join(root, randomBytes(8).toString("hex"));
    await mkdir(path, { mode: 0o700 });
    return new Workspace(path, slot, settings, abandoned);
  }

  /** All but the checkout, which is made at the same time. */
  async prepare(): Promise<void> {
    const io = join(this.path, "io");
    await Promise.all([
      mkdir(this.scratch, { mode: 0o700 }),
      mkdir(join(this.path, "steps"), { mode: 0o755 }),
      ...["steps", "objects", "artifact"].map((name) => mkdir(join(io, name), { recursive: true, mode: 0o755 })),
    ]);
    await Promise.all([writeFile(this.outputFile, ""), writeFile(this.queueFile, "")]);
  }

  get scratch(): string {
    return join(this.path, "scratch");
  }

  /** The checkout on the host; shown as {@link CHECKOUT_DIR}. */
  get source(): string {
    return join(this.path, "src");
  }

  get outputFile(): string {
    return join(this.path, "io", "output");
  }

  get queueFile(): string {
    return join(this.path, "io", "queue");
  }

  /** Runs phases in a sandbox on what earlier runs left, and gives their output to `log`. */
  async run(f: Furnishing, o: RunSettings, log: LogStream): Promise<Verdict> {
    await Promise.all(
      [o.drive.driver, ...o.drive.files].map((file) =>
        writeFile(join(this.path, "steps", file.name), file.text, { mode: 0o644 }),
      ),
    );
    const options = optionBytes({
      image: f.image,
      scratch: this.scratch,
      binds: this.#binds(f),
      variables: f.variables,
      cwd: join(CHECKOUT_DIR, f.stage.workdir),
      hostname: f.hostname,
      uidBase: this.#slot.uidBase,
      network: f.stage.network,
      places: f.places,
      slotNetwork: this.#slot.network,
      cgroup: this.#settings.cgroup,
      allowWeak: this.#settings.allowWeak,
      limits: f.stage.limits,
      wallMs: o.wallMs,
      graceMs: GRACE_MS,
      silenceMs: f.stage.timeouts.silenceMs,
      masks: this.#settings.masks,
    });
    const { reader, writerFd } = this.#slot.pipe.open();
    const pumped = log.pump(reader);
    const verdict = await runHelper({
      binary: this.#settings.helper,
      options,
      command: ["/bin/sh", `${STEPS_DIR}/${o.drive.driver.name}`],
      outputFd: writerFd,
      cancelled: o.cancelled,
      abandoned: this.#abandoned,
    });
    await pumped;
    return verdict;
  }

  #binds(f: Furnishing): readonly Bind[] {
    const binds: Bind[] = [
      { source: this.source, target: CHECKOUT_DIR, readOnly: false },
      { source: join(this.path, "io"), target: "/toroid", readOnly: false },
      { source: join(this.path, "steps"), target: STEPS_DIR, readOnly: true },
    ];
    if (f.objects !== null) binds.push({ source: f.objects, target: BORROWED_OBJECTS, readOnly: true });
    if (f.artifact !== null) binds.push({ source: f.artifact, target: ARTIFACT_DIR, readOnly: true });
    return binds;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeTree(this.path);
  }
}
