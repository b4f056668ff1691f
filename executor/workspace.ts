/** The place of one attempt on this host: a directory of its own, and the sandbox runs in it. */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { StagePlan } from "../protocol/pipeline/plan.ts";
import { BORROWED_OBJECTS } from "./checkout.ts";
import type { Unpacked } from "./images/unpack.ts";
import type { LogStream } from "./log-stream.ts";
import type { Granted } from "./secrets.ts";
import { CHECKOUT_DIR, type Drive, STEPS_DIR } from "./workspace/driver.ts";
import { type Bind, runOptions } from "./workspace/options.ts";
import { ARTIFACT_DIR } from "./workspace/variables.ts";
import type { Verdict } from "./workspace/verdict.ts";

/** Where the runs of one attempt at a time are made. */
export interface Slot {
  /** What a build gets that wants a network. */
  readonly network: "full" | "host";
  run(o: SlotRun): RunningSandbox | Promise<RunningSandbox>;
  /** After it, all that builds left below `path` can be read by us. */
  takeOver(path: string): Promise<void>;
  /** Where another run can be made at the same time, without a network; null: nowhere. */
  readonly beside: Slot | null;
  /** Makes `root` a layer, of what the runs of an attempt's directory wrote; answers a sentence when it cannot be made. */
  saveLayer(workspace: string, root: string): Promise<Unpacked | string>;
  /** Removes an attempt's directory, and what its runs wrote. */
  clear(workspace: string): Promise<void>;
}

export interface SlotRun {
  /** The attempt's directory. A run goes on where the one before of the same attempt ended. */
  readonly workspace: string;
  /** As `runOptions` makes them. */
  readonly options: readonly string[];
  readonly command: readonly string[];
  /** Ends the command in order: TERM, a time of grace, KILL. */
  readonly cancelled: AbortSignal;
  /** Ends everything at once. */
  readonly abandoned: AbortSignal;
}

export interface RunningSandbox {
  /** Has to be read, to its end. */
  readonly output: Readable;
  readonly verdict: Promise<Verdict>;
}

/** What is the same for all workspaces of an executor. */
export interface SandboxSettings {
  /** What it may fail to hold builds to. */
  readonly allowWeak: readonly string[];
  /** What this host cannot hold builds to, as `weak` of a stage says it. */
  readonly weak: readonly string[];
  /** Of the host, hidden when the image is the host. */
  readonly masks: readonly string[];
}

/** What all runs of one workspace share. */
export interface Furnishing {
  /** As `RunOptions` has them. */
  readonly images: readonly string[];
  readonly stage: StagePlan;
  readonly variables: Readonly<Record<string, string>>;
  /** Win over the variables. */
  readonly secrets: Granted;
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
  /** Has what is granted for publishing as well. */
  readonly publishes: boolean;
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
    await Promise.all([
      mkdir(join(this.path, "steps"), { mode: 0o755 }),
      ...["steps", "objects", "artifact"].map((name) => mkdir(join(this.io, name), { recursive: true, mode: 0o755 })),
    ]);
    await Promise.all([writeFile(this.outputFile, ""), writeFile(this.queueFile, "")]);
  }

  /** The checkout on the host; shown as {@link CHECKOUT_DIR}. */
  get source(): string {
    return join(this.path, "src");
  }

  /** What goes between the script and us; shown as `/toroid`. */
  get io(): string {
    return join(this.path, "io");
  }

  get outputFile(): string {
    return join(this.io, "output");
  }

  get queueFile(): string {
    return join(this.io, "queue");
  }

  /** Runs phases in a sandbox on what earlier runs left, and gives their output to `log`. */
  async run(f: Furnishing, o: RunSettings, log: LogStream): Promise<Verdict> {
    await Promise.all(
      [o.drive.driver, ...o.drive.files].map((file) =>
        writeFile(join(this.path, "steps", file.name), file.text, { mode: 0o644 }),
      ),
    );
    const { silenceMs } = f.stage.timeouts;
    const options = this.optionsOf(f, { publishes: o.publishes, wallMs: o.wallMs, silenceMs });
    const command = ["/bin/sh", `${STEPS_DIR}/${o.drive.driver.name}`];
    const ends = { cancelled: o.cancelled, abandoned: this.#abandoned };
    const { output, verdict } = await this.#slot.run({ workspace: this.path, options, command, ...ends });
    const [ended] = await Promise.all([verdict, log.pump(output)]);
    return ended;
  }

  /** The sandbox's options for a command in it. */
  optionsOf(
    f: Furnishing,
    o: { readonly publishes: boolean; readonly wallMs: number; readonly silenceMs: number | null },
  ): readonly string[] {
    return runOptions({
      images: f.images,
      binds: this.#binds(f),
      variables: { ...f.variables, ...f.secrets.stage, ...(o.publishes ? f.secrets.publish : {}) },
      cwd: join(CHECKOUT_DIR, f.stage.workdir),
      hostname: f.hostname,
      // The stage's `weak` says so when it is the host's.
      network: f.stage.network === "full" || f.places.length > 0 ? this.#slot.network : "none",
      places: f.places,
      allowWeak: this.#settings.allowWeak,
      limits: f.stage.limits,
      wallMs: o.wallMs,
      graceMs: GRACE_MS,
      silenceMs: o.silenceMs,
      masks: this.#settings.masks,
    });
  }

  /** Does `act` on what the build left below `path`; once more when there is something that we may not read. */
  async readable<T>(path: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (!isDenied(error)) throw error;
      await this.#slot.takeOver(path);
      return await act();
    }
  }

  #binds(f: Furnishing): readonly Bind[] {
    const binds: Bind[] = [
      { source: this.source, target: CHECKOUT_DIR, readOnly: false },
      { source: this.io, target: "/toroid", readOnly: false },
      { source: join(this.path, "steps"), target: STEPS_DIR, readOnly: true },
    ];
    if (f.objects !== null) binds.push({ source: f.objects, target: BORROWED_OBJECTS, readOnly: true });
    if (f.artifact !== null) binds.push({ source: f.artifact, target: ARTIFACT_DIR, readOnly: true });
    return binds;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#slot.clear(this.path);
  }
}

/** A build is root in its own eyes: files may be of users that it made up, or closed to everybody. */
export function isDenied(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EACCES" || error.code === "EPERM");
}
