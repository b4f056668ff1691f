/** The phases of one stage in a furnished workspace, and what it leaves behind. Knows nothing of queues or claims. */
import { sentenceOf } from "../protocol/errors.ts";
import type { QueueRequest, StageResult } from "../protocol/events.ts";
import type { AmiArtifact, Artifact, FilesArtifact } from "../protocol/work.ts";
import type { BakeEnd } from "./bake.ts";
import type { LogStream } from "./log-stream.ts";
import { readOutputs, readQueue } from "./outputs.ts";
import { whatLeaks } from "./secrets.ts";
import { driveOf, mainPhases, phaseText } from "./workspace/driver.ts";
import { type Ruling, rulingOf } from "./workspace/outcome.ts";
import type { Furnishing, Workspace } from "./workspace.ts";

/** `after` cleans up; it gets this long at most, whatever the stage was given. */
const AFTER_MS = 5 * 60_000;

export interface StageRunOptions {
  readonly publish: boolean;
  /** Says that publishing begins; resolves when it is stored, for after that the stage is not repeated by itself. */
  readonly publishing: () => Promise<void>;
  /** Packs the files that the stage declares; a sentence when that cannot be done. */
  readonly pack: ((source: string) => Promise<FilesArtifact | string>) | null;
  /** Bakes an AMI of what install and script left; null: none is wanted. */
  readonly bake: (() => Promise<BakeEnd>) | null;
  /** Aborts when a person wants it ended; its reason says why. */
  readonly cancelled: AbortSignal;
  /** Aborts when nothing more of it may run. */
  readonly abandoned: AbortSignal;
  /** Environments that the script may ask for; null: it is not checked. */
  readonly environments: readonly string[] | null;
  /** Ended here. */
  readonly log: LogStream;
}

export interface StageRun {
  readonly ruling: Ruling;
  /** The command ran. */
  readonly acted: boolean;
  readonly outputs: Readonly<Record<string, string>>;
  readonly requests: readonly QueueRequest[];
  readonly artifact: Artifact | null;
  readonly logBytes: number;
  readonly stepsMs: Readonly<Record<string, number>>;
}

/** Runs install and script, then publish if they passed and it may, then after whatever was before. */
export async function runStage(workspace: Workspace, f: Furnishing, o: StageRunOptions): Promise<StageRun> {
  const run = new Run(workspace, f, o);
  try {
    await run.main();
    await run.bake();
    await run.publish();
    await run.collect();
    await run.after();
  } finally {
    await run.end();
  }
  return run.result();
}

/** Of a stage that ended before anything of it could run. */
export async function endBefore(ruling: Ruling, log: LogStream): Promise<StageRun> {
  const unlogged = await log.end();
  const bare = { acted: false, outputs: {}, requests: [], artifact: null, stepsMs: {} } as const;
  return { ...bare, ruling: withNotes(ruling, notesOf(log, unlogged)), logBytes: log.keptBytes };
}

class Run {
  readonly #workspace: Workspace;
  readonly #f: Furnishing;
  readonly #o: StageRunOptions;
  readonly #log: LogStream;
  readonly #beganAtMs = performance.now();
  readonly #stepsMs: Record<string, number> = {};
  #ruling: Ruling = {
    kind: "ended",
    outcome: "passed",
    message: "",
    exitCode: null,
    signal: null,
    phase: null,
  };
  #acted = false;
  /** Why the log is not whole; null when it is. */
  #unlogged: string | null = null;
  #outputs: Readonly<Record<string, string>> = {};
  #requests: readonly QueueRequest[] = [];
  #files: FilesArtifact | null = null;
  #ami: Pick<AmiArtifact, "key" | "amis"> | null = null;

  constructor(workspace: Workspace, f: Furnishing, o: StageRunOptions) {
    this.#workspace = workspace;
    this.#f = f;
    this.#o = o;
    this.#log = o.log;
  }

  get #artifact(): Artifact | null {
    if (this.#ami === null) return this.#files;
    const { key, amis } = this.#ami;
    return { kind: "ami", key, amis, files: this.#files };
  }

  get #passed(): boolean {
    return this.#ruling.kind === "ended" && this.#ruling.outcome === "passed";
  }

  async main(): Promise<void> {
    const phases = mainPhases(this.#f.stage);
    if (phases.length > 0) this.#ruling = await this.#run("main", phases, this.#f.stage.timeoutMs, this.#o.cancelled);
  }

  /** Before publishing, which comes last: what is published has its AMI. */
  async bake(): Promise<void> {
    const { bake } = this.#o;
    if (!this.#passed || bake === null) return;
    const end = await this.#timed("bake", bake);
    if (end.kind === "ruled") this.#ruling = end.ruling;
    else this.#ami = end;
  }

  async publish(): Promise<void> {
    const lines = this.#f.stage.phases.publish;
    if (!this.#passed || !this.#o.publish || lines.length === 0) return;
    const leftMs = this.#f.stage.timeoutMs - (performance.now() - this.#beganAtMs);
    const phases = [{ phase: "publish", text: phaseText(lines) } as const];
    await this.#o.publishing();
    this.#ruling = await this.#run("publishing", phases, leftMs, this.#o.cancelled);
  }

  /** What a passed stage left in its files; a mistake in them fails it. */
  async collect(): Promise<void> {
    const { outputFile, queueFile, io, source } = this.#workspace;
    const outputs = await this.#workspace.readable(io, () => readOutputs(outputFile));
    if (outputs.kind === "wrong" && this.#passed) this.#fail(outputs.why);
    const found = outputs.kind === "read" ? outputs.value : {};
    const leak = this.#leakIn(found, []);
    if (leak === null) this.#outputs = found;
    else if (this.#passed) this.#fail(leak);
    if (!this.#passed) return;
    const queue = await this.#workspace.readable(io, () => readQueue(queueFile));
    if (queue.kind === "wrong") return this.#fail(queue.why);
    const unknown = unknownEnvironment(queue.value, this.#o.environments);
    if (unknown !== null) {
      return this.#fail(`TOROID_QUEUE asks for ${unknown}, which is not an environment of this build`);
    }
    const told = this.#leakIn({}, queue.value);
    if (told !== null) return this.#fail(told);
    this.#requests = queue.value;
    const { pack } = this.#o;
    if (pack === null) return;
    const packed = await this.#timed("artifact", () => this.#workspace.readable(source, () => pack(source)));
    if (typeof packed === "string") this.#fail(packed);
    else this.#files = packed;
  }

  /** Cannot change the outcome; a failure is only said in the log. */
  async after(): Promise<void> {
    const lines = this.#f.stage.phases.after;
    if (lines.length === 0 || !this.#acted) return;
    const phases = [{ phase: "after", text: phaseText(lines) } as const];
    const leftMs = Math.min(AFTER_MS, this.#f.stage.timeoutMs);
    const ruling = await this.#run("afterwards", phases, leftMs, new AbortController().signal);
    const passed = ruling.kind === "ended" && ruling.outcome === "passed";
    if (!passed) await this.#log.say(`after did not succeed, which does not count: ${ruling.message}`);
  }

  async end(): Promise<void> {
    if (this.#o.abandoned.aborted)
      await this.#log.say(`this attempt ends here: ${sentenceOf(this.#o.abandoned.reason)}`);
    this.#unlogged = await this.#log.end();
  }

  result(): StageRun {
    const { keptBytes, firstByteAtMs } = this.#log;
    if (firstByteAtMs !== null) this.#stepsMs["firstByte"] = tenths(firstByteAtMs - this.#beganAtMs);
    return {
      ruling: withNotes(this.#ruling, notesOf(this.#log, this.#unlogged)),
      acted: this.#acted,
      outputs: this.#outputs,
      requests: this.#passed ? this.#requests : [],
      artifact: this.#passed ? this.#artifact : null,
      logBytes: keptBytes,
      stepsMs: this.#stepsMs,
    };
  }

  async #run(
    name: string,
    phases: Parameters<typeof driveOf>[1],
    wallMs: number,
    cancelled: AbortSignal,
  ): Promise<Ruling> {
    const drive = driveOf(name, phases, this.#log.nonce);
    this.#o.abandoned.throwIfAborted();
    const begunBefore = this.#log.begun.length;
    const failedBefore = this.#log.failed;
    const publishes = phases.some(({ phase }) => phase === "publish");
    const verdict = await this.#workspace.run(this.#f, { drive, publishes, wallMs, cancelled }, this.#log);
    const endedAtMs = performance.now();
    if (verdict.started) this.#acted = true;
    this.#o.abandoned.throwIfAborted();
    this.#stepsMs["workspace"] ??= tenths(verdict.setupMs);
    const begun = this.#log.begun.slice(begunBefore);
    for (const [i, { phase, atMs }] of begun.entries()) {
      this.#stepsMs[phase] = tenths((begun[i + 1]?.atMs ?? endedAtMs) - atMs);
    }
    return rulingOf(verdict, {
      phase: begun.at(-1)?.phase ?? null,
      failed: this.#log.failed === failedBefore ? null : this.#log.failed,
      timeoutMs: this.#f.stage.timeoutMs,
      silenceMs: this.#f.stage.timeouts.silenceMs,
      cancelled: cancelled.aborted ? sentenceOf(cancelled.reason) : null,
    });
  }

  async #timed<T>(step: string, act: () => Promise<T>): Promise<T> {
    const began = performance.now();
    try {
      return await act();
    } finally {
      this.#stepsMs[step] = tenths(performance.now() - began);
    }
  }

  #leakIn(outputs: Readonly<Record<string, string>>, requests: readonly QueueRequest[]): string | null {
    const { stage, publish } = this.#f.secrets;
    return whatLeaks([stage, publish], outputs, requests);
  }

  #fail(message: string): void {
    this.#ruling = { kind: "ended", outcome: "failed", message, exitCode: null, signal: null, phase: "script" };
  }
}

function unknownEnvironment(requests: readonly QueueRequest[], known: readonly string[] | null): string | null {
  if (known === null) return null;
  for (const request of requests) {
    if (request.kind === "environment" && !known.includes(request.environment)) return request.environment;
  }
  return null;
}

/** Milliseconds for people: a tenth is exact enough. */
export function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

function withNotes(ruling: Ruling, notes: readonly string[]): Ruling {
  return { ...ruling, message: [ruling.message, ...notes].filter((part) => part !== "").join("; ") };
}

function notesOf({ droppedBytes, keptBytes }: LogStream, unlogged: string | null): readonly string[] {
  if (droppedBytes === 0) return [unlogged ?? ""];
  return [`the log was cut after ${keptBytes} bytes, ${droppedBytes} more were dropped`, unlogged ?? ""];
}

/** The result to report of a stage that came to an end by itself. */
export function resultOf(
  run: StageRun,
  ended: Extract<Ruling, { kind: "ended" }>,
  stepsMs: Readonly<Record<string, number>>,
): StageResult {
  return {
    outcome: ended.outcome,
    message: ended.message,
    exitCode: ended.exitCode,
    signal: ended.signal,
    phase: ended.phase,
    outputs: { ...run.outputs },
    requests: run.requests.map((request) => ({ ...request, params: { ...request.params } })),
    artifact: run.artifact,
    planned: null,
    logBytes: run.logBytes,
    stepsMs: { ...stepsMs, ...run.stepsMs },
  };
}
