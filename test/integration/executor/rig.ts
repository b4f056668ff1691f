/** A nats-server, a git repository and executors: what the tests of this folder stand on. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { after, before } from "node:test";
import { type Config, configFrom } from "../../../executor/config.ts";
import { presencesIn } from "../../../executor/seen.ts";
import { append, connectJet, type Jet, readSubject } from "../../../kit/jetstream.ts";
import { type Logger, makeLogger } from "../../../kit/log.ts";
import { ensureTopology } from "../../../kit/topology.ts";
import { decode, encode } from "../../../protocol/codec.ts";
import { type Command, type Presence } from "../../../protocol/commands.ts";
import { type StageEvent, type StageResult, stageEvent } from "../../../protocol/events.ts";
import type { StageId } from "../../../protocol/ids.ts";
import { type LogChunk, logChunk } from "../../../protocol/log.ts";
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import { applyToStage, NO_STAGE, type Stage } from "../../../protocol/stage.ts";
import { COMMAND, LOG, RUN } from "../../../protocol/streams.ts";
import {
  CANCEL_SIGNAL,
  commandFilter,
  commandSubject,
  logSubject,
  stageRunSubject,
} from "../../../protocol/subjects.ts";
import type { Push, StageContext, Work } from "../../../protocol/work.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../../support/leaks.ts";
import { NatsServer } from "../../support/nats.ts";
import { type Files, GitRepo } from "../../support/repo.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";
import { weakHere } from "../../support/weak.ts";
import { push, stagePlan } from "../../unit/coordinator/samples.ts";

export const POOL = "default";
export const SANDBOX = join(import.meta.dirname, "..", "..", "..", "sandbox", "build", "toroid-sandbox");

/** Keeps only what a person would have to look at. */
export const quiet: Logger = makeLogger("test", process.env["TOROID_LOG_LEVEL"] ?? "fatal");

const TOROID = join(import.meta.dirname, "..", "..", "..", "bin", "toroid.ts");

export const PLAIN_STAGE = stagePlan("build", {
  image: { kind: "host" },
  limits: { memoryBytes: null, cpuMilli: null, pids: null, diskBytes: null, logBytes: 64 * 1024 * 1024 },
});

export const NO_CONTEXT: StageContext = {
  artifact: null,
  outputs: {},
  params: {},
  environments: ["prod"],
  fence: null,
  previousCommit: null,
  previousArtifact: null,
};

export interface RunningExecutor extends AsyncDisposable {
  readonly pid: number;
  stop(): void;
  hard(): void;
  /** Rejects with the error that it printed last. */
  readonly ended: Promise<void>;
}

function errorIn(said: string, how: string | number | null): Error {
  const [, sentence, code] = /^toroid: (.*) \((TOR_[A-Z_]+)\)$/m.exec(said) ?? [];
  const message = sentence ?? `the executor ended with ${how}:\n${said}`;
  return Object.assign(new Error(message), { code });
}

/** What tests with executors stand on. */
export const NEEDS = { root: true, path: SANDBOX, program: "git" } as const;

/** One rig for all tests of a file, told to `take` before the first; after the last nothing of it may be left. */
export function rigForAll(take: (rig: Rig) => void): void {
  let rig: Rig | undefined;
  let leaks: Snapshot;
  before(async () => {
    leaks = await snapshot();
    rig = await Rig.start();
    take(rig);
  });
  after(async () => {
    await rig?.[Symbol.asyncDispose]();
    await assertNoLeaks(leaks);
  });
}

export class Rig implements AsyncDisposable {
  readonly server: NatsServer;
  readonly repo: GitRepo;
  readonly jet: Jet & AsyncDisposable;
  readonly dir: TempDir;
  readonly #cleanup: AsyncDisposableStack;
  #number = 0;

  private constructor(
    server: NatsServer,
    repo: GitRepo,
    jet: Jet & AsyncDisposable,
    dir: TempDir,
    cleanup: AsyncDisposableStack,
  ) {
    this.server = server;
    this.repo = repo;
    this.jet = jet;
    this.dir = dir;
    this.#cleanup = cleanup;
  }

  static async start(files: Files = { "README.md": "hello\n" }): Promise<Rig> {
    await using building = new AsyncDisposableStack();
    const dir = building.use(await tempDir("toroid-executor-"));
    const repo = building.use(await GitRepo.create({ files }));
    const server = building.use(await NatsServer.start());
    const jet = building.use(await connectJet({ url: server.url, name: "test" }));
    await ensureTopology(jet, [], { storeBytes: 512 * 1024 * 1024, replicas: 1 });
    return new Rig(server, repo, jet, dir, building.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }

  /** What an executor of this rig is told by its environment; each `name` has a state directory of its own. */
  variables(name: string, more: Readonly<Record<string, string>> = {}): Record<string, string> {
    return {
      TOROID_NATS_URL: this.server.url,
      TOROID_POOL: POOL,
      TOROID_SLOTS: "2",
      TOROID_EXECUTOR_STATE: join(this.dir.path, name),
      TOROID_ARTIFACTS: join(this.dir.path, "artifacts"),
      TOROID_IMAGES: join(this.dir.path, "images"),
      TOROID_ALLOW_LOCAL_REMOTES: "1",
      TOROID_ALLOW_WEAK: weakHere().join(","),
      // Nothing of this machine's network is for tests to change.
      TOROID_NETWORK: "host",
      ...more,
    };
  }

  config(name: string, more: Readonly<Record<string, string>> = {}): Config {
    return configFrom(this.variables(name, more));
  }

  /** An executor as it is in production: started by root, and then not root any more. */
  executor(name = "one", more: Readonly<Record<string, string>> = {}): RunningExecutor {
    const level = process.env["TOROID_LOG_LEVEL"] ?? "fatal";
    const child = spawn(process.execPath, [TOROID, "executor"], {
      env: { ...process.env, TOROID_LOG_LEVEL: level, ...this.variables(name, more) },
      // The channel tells it when we are gone.
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (process.env["TOROID_LOG_LEVEL"] !== undefined) process.stderr.write(text);
    });
    const ended = new Promise<void>((resolve, reject) => {
      child.once("close", (code, signal) => (code === 0 ? resolve() : reject(errorIn(said, signal ?? code))));
    });
    ended.catch(() => undefined);
    const hard = (): void => {
      // The second one abandons what is held; two of one kind could arrive as one.
      for (const signal of ["SIGTERM", "SIGINT"] as const) child.kill(signal);
    };
    return {
      pid: child.pid ?? 0,
      stop: () => void child.kill("SIGTERM"),
      hard,
      ended,
      async [Symbol.asyncDispose]() {
        hard();
        await ended.catch((error: unknown) => {
          // It may have been too young to have a say in how it ends.
          if (child.signalCode === null) throw error;
        });
      },
    };
  }

  nextId(stage = "build"): StageId {
    this.#number += 1;
    return { repository: "acme/api", number: this.#number, stage, round: 1 };
  }

  async push(over: Partial<Push> = {}): Promise<Push> {
    return push({ remote: { https: this.repo.url, ssh: null }, commit: await this.repo.head(), message: "", ...over });
  }

  /** Work of a stage at the head of `main`. */
  async stageWork(stage: Partial<StagePlan> = {}, context: Partial<StageContext> = {}): Promise<Work> {
    return {
      kind: "stage",
      remote: { https: this.repo.url, ssh: null },
      source: {
        ref: "refs/heads/main",
        branch: "main",
        tag: null,
        before: null,
        commit: await this.repo.head(),
        message: "a change",
        author: "Ada Example <ada@example.com>",
        defaultBranch: "main",
      },
      stage: { ...structuredClone(PLAIN_STAGE), ...structuredClone(stage) },
      context: { ...NO_CONTEXT, ...context },
    };
  }

  /** Does what a coordinator would: the event, then the command. */
  async queue(work: Work, pool = POOL): Promise<StageId> {
    const id = this.nextId(work.kind === "plan" ? "_plan" : work.stage.name);
    const queued: StageEvent = {
      type: "queued",
      id: randomUUID(),
      atMs: Date.now(),
      pool,
      attempt: 1,
      purpose: "run",
      work,
    };
    const appended = await append(this.jet, RUN.name, stageRunSubject(id), queued, 0);
    if (appended.kind !== "appended") throw new Error("the stage was queued already");
    await this.command({ ...id, queuedSeq: appended.seq, attempt: 1, purpose: "run", work }, pool);
    return id;
  }

  async command(command: Command, pool = POOL): Promise<void> {
    const queue = command.work.kind === "plan" ? "plan" : "work";
    await this.jet.js.publish(commandSubject(pool, queue, command.repository), encode(command));
  }

  async cancel(id: StageId, o: { readonly signal: boolean } = { signal: true }): Promise<void> {
    for (;;) {
      const { lastSeq } = await this.stage(id);
      const event: StageEvent = {
        type: "cancelRequested",
        id: randomUUID(),
        atMs: Date.now(),
        by: "ada",
        why: "a test",
      };
      if ((await append(this.jet, RUN.name, stageRunSubject(id), event, lastSeq)).kind === "appended") break;
    }
    if (o.signal) this.jet.nc.publish(CANCEL_SIGNAL, encode(id));
  }

  async events(id: StageId): Promise<readonly StageEvent[]> {
    return (await readSubject(this.jet, RUN.name, stageRunSubject(id), 0)).map(({ data }) => decode(stageEvent, data));
  }

  async stage(id: StageId): Promise<{ readonly stage: Stage; readonly lastSeq: number }> {
    let stage = NO_STAGE;
    let lastSeq = 0;
    for (const { data, seq } of await readSubject(this.jet, RUN.name, stageRunSubject(id), 0)) {
      stage = applyToStage(stage, decode(stageEvent, data), seq);
      lastSeq = seq;
    }
    return { stage, lastSeq };
  }

  /** Waits for the end of a stage; one whose attempt errored fails the test with its sentence. */
  async result(id: StageId, withinMs = 20_000): Promise<StageResult> {
    const stage = await this.stageThat(
      id,
      "over",
      (one) => one.status === "finished" || one.status === "retrying",
      withinMs,
    );
    if (stage.result === null)
      throw new Error(`the attempt errored: ${stage.lastError?.code} ${stage.lastError?.message}`);
    return stage.result;
  }

  async error(id: StageId, withinMs = 20_000): Promise<NonNullable<Stage["lastError"]>> {
    const stage = await this.stageThat(
      id,
      "errored",
      (one) => one.lastError !== null || one.status === "finished",
      withinMs,
    );
    if (stage.lastError === null) throw new Error(`the stage ${stage.result?.outcome}: ${stage.result?.message}`);
    return stage.lastError;
  }

  stageThat(id: StageId, what: string, is: (stage: Stage) => boolean, withinMs = 20_000): Promise<Stage> {
    return until<Stage | undefined>(
      `the stage to be ${what}`,
      async () => {
        const { stage } = await this.stage(id);
        return is(stage) ? stage : undefined;
      },
      { withinMs },
    );
  }

  async log(id: StageId, attempt = 1): Promise<readonly LogChunk[]> {
    return (await readSubject(this.jet, LOG.name, logSubject(id, attempt), 0)).map(({ data }) =>
      decode(logChunk, data),
    );
  }

  /** The output alone. */
  async output(id: StageId, attempt = 1): Promise<Buffer> {
    return Buffer.concat(
      (await this.log(id, attempt)).map((chunk) => (chunk.kind === "bytes" ? chunk.data : Buffer.alloc(0))),
    );
  }

  /** Sequences of a stage's events. */
  async seqs(id: StageId): Promise<readonly number[]> {
    return (await readSubject(this.jet, RUN.name, stageRunSubject(id), 0)).map(({ seq }) => seq);
  }

  /** What executors say of themselves now. */
  presences(): Promise<readonly Presence[]> {
    return presencesIn(this.jet);
  }

  /** How many commands of a pool are still somebody's to settle. */
  async commandsLeft(pool = POOL): Promise<number> {
    const { name } = COMMAND;
    const { state } = await this.jet.jsm.streams.info(name, { subjects_filter: commandFilter(pool, "work") });
    return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
  }
}
