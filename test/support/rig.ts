import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import * as hooks from "node:test";
import { QUEUE_CREDENTIALS, QUEUE_REGION } from "../../kit/queue-server.ts";
import { type BuildSummary, buildSummary, type EnvironmentSummary } from "../../protocol/summary.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "./leaks.ts";
import { NatsServer } from "./nats.ts";
import { QueueServer } from "./queue.ts";
import type { Files, PushOptions } from "./repo.ts";
import { GitRepo } from "./repo.ts";
import { type TempDir, tempDir } from "./temp.ts";
import { until } from "./until.ts";
import { weakHere } from "./weak.ts";

const TOROID = join(import.meta.dirname, "..", "..", "bin", "toroid.ts");

/** A coordinator or an executor as a process of its own, to be killed at will. */
export class Daemon implements AsyncDisposable {
  readonly child: ChildProcess;
  /** Resolves with how it ended. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  readonly #lines: string[] = [];
  readonly #url = Promise.withResolvers<string>();

  constructor(name: "coordinator" | "executor", env: Readonly<Record<string, string>>) {
    this.child = spawn(process.execPath, [TOROID, name], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#url.promise.catch(() => undefined); // whoever waits for it hears
    this.exited = new Promise((resolve) => {
      this.child.once("exit", (code, signal) => {
        this.#url.reject(new Error(`${name} ended before it was ready:\n${this.log}`));
        resolve({ code, signal });
      });
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => this.#lines.push(text));
    this.child.on("message", (message: { readonly url?: string }) => {
      if (message.url !== undefined) this.#url.resolve(message.url);
    });
  }

  /** Of the page and the API, once it is ready. */
  get url(): Promise<string> {
    return this.#url.promise;
  }

  /** What it logged. */
  get log(): string {
    return this.#lines.join("");
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.child.kill(signal);
    await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGTERM");
    // A second one abandons what it holds.
    const hard = setTimeout(() => this.child.kill("SIGTERM"), 2_000);
    const last = setTimeout(() => this.child.kill("SIGKILL"), 8_000);
    await this.exited;
    clearTimeout(hard);
    clearTimeout(last);
  }
}

/** NATS and a queue, and as many coordinators and executors as a test starts; all gone at the end of the block. */
export class Rig implements AsyncDisposable {
  readonly nats: NatsServer;
  readonly queue: QueueServer;
  readonly dir: TempDir;
  readonly #daemons: Daemon[] = [];
  readonly #repos: GitRepo[] = [];
  #url = "";
  #executors = 0;

  private constructor(nats: NatsServer, queue: QueueServer, dir: TempDir) {
    this.nats = nats;
    this.queue = queue;
    this.dir = dir;
  }

  static async start(o: { readonly visibilitySeconds?: number } = {}): Promise<Rig> {
    await using undo = new AsyncDisposableStack();
    const nats = undo.use(await NatsServer.start());
    const queue = undo.use(await QueueServer.start(o));
    const dir = undo.use(await tempDir("toroid-rig-"));
    undo.move();
    return new Rig(nats, queue, dir);
  }

  /** All that were started, the dead too. */
  get daemons(): readonly Daemon[] {
    return this.#daemons;
  }

  /** Of the coordinator started last. */
  get url(): string {
    return this.#url;
  }

  /** Resolves when it is ready, or has died at the crash point that `env` names. */
  async coordinator(env: Readonly<Record<string, string>> = {}): Promise<Daemon> {
    const daemon = new Daemon("coordinator", {
      TOROID_NATS_URL: this.nats.url,
      TOROID_STORE_BYTES: String(256 * 1024 * 1024),
      TOROID_HTTP_PORT: "0",
      TOROID_ALLOW_LAZY_SYNC: "1",
      TOROID_QUEUE_URL: this.queue.queueUrl,
      TOROID_DEAD_LETTER_URL: this.queue.deadLetterUrl,
      TOROID_QUEUE_ENDPOINT: this.queue.endpoint,
      AWS_REGION: QUEUE_REGION,
      AWS_ACCESS_KEY_ID: QUEUE_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: QUEUE_CREDENTIALS.secretAccessKey,
      ...env,
    });
    this.#daemons.push(daemon);
    if (env["TOROID_CRASH_AT"] === undefined) this.#url = await daemon.url;
    return daemon;
  }

  /** Each has a state directory of its own, unless `state` names an earlier one's number. */
  executor(env: Readonly<Record<string, string>> = {}, state: number = this.#executors): Daemon {
    this.#executors = Math.max(this.#executors, state) + 1;
    const daemon = new Daemon("executor", {
      TOROID_NATS_URL: this.nats.url,
      TOROID_EXECUTOR_STATE: join(this.dir.path, `executor-${state}`),
      TOROID_ARTIFACTS: join(this.dir.path, "artifacts"),
      TOROID_ALLOW_LOCAL_REMOTES: "1",
      TOROID_SLOTS: "2",
      TOROID_ALLOW_WEAK: weakHere().join(","),
      // Nothing of this machine's network is for tests to change.
      TOROID_NETWORK: "host",
      ...env,
    });
    this.#daemons.push(daemon);
    return daemon;
  }

  async repo(files: Files): Promise<GitRepo> {
    const repo = await GitRepo.create({ files });
    this.#repos.push(repo);
    return repo;
  }

  /** Puts GitHub's message of a push on the queue: of the newest commit, unless told otherwise. */
  async push(repo: GitRepo, o: Partial<PushOptions> & { readonly delivery?: string } = {}): Promise<string> {
    const after = o.after ?? (await repo.head());
    const { ref = "refs/heads/main", fullName = "acme/shop", delivery = randomUUID() } = o;
    const before = o.before === undefined ? {} : { before: o.before };
    await this.queue.send(await repo.pushPayload({ after, ref, fullName, ...before }), {
      "X-GitHub-Event": "push",
      "X-GitHub-Delivery": delivery,
    });
    return after;
  }

  async get<T>(path: string): Promise<T> {
    const response = await fetch(new URL(path, this.#url));
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    const response = await fetch(new URL(path, this.#url), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  async build(number: number, repository = "acme/shop"): Promise<BuildSummary> {
    return buildSummary.parse(await this.get(`/api/v1/builds/${repository}/${number}`));
  }

  /** All builds of a repository, oldest first. */
  async builds(repository = "acme/shop"): Promise<readonly BuildSummary[]> {
    const { builds } = await this.get<{ builds: readonly BuildSummary[] }>(
      `/api/v1/builds?repository=${encodeURIComponent(repository)}&limit=100`,
    );
    return builds.toReversed();
  }

  async environment(name: string, repository = "acme/shop"): Promise<EnvironmentSummary | undefined> {
    const { repositories } = await this.get<{
      repositories: readonly { readonly repository: string; readonly environments: readonly EnvironmentSummary[] }[];
    }>("/api/v1/repositories");
    return repositories
      .find((one) => one.repository === repository)
      ?.environments.find((one) => one.environment === name);
  }

  /** Waits until the build has ended. */
  async ended(number: number, repository = "acme/shop", withinMs = 45_000): Promise<BuildSummary> {
    const what = `${repository}#${number} to end`;
    try {
      return await until(
        what,
        async () => {
          const build = await this.build(number, repository);
          return build.status === "finished" ? build : undefined;
        },
        { withinMs, everyMs: 25 },
      );
    } catch (error) {
      const logs = this.#daemons.map((one) => one.log).join("\n---\n");
      const build = await this.build(number, repository).catch(() => null);
      throw new Error(`${String(error)}\n${JSON.stringify(build, null, 1)}\n${logs}`, { cause: error });
    }
  }

  /** How each stage of a build ended, in its order; the plan left out. */
  static outcomes(build: BuildSummary): Readonly<Record<string, string | null>> {
    return Object.fromEntries(
      build.stages
        .filter((one) => one.name !== "_plan")
        .map((one) => [one.round === 1 ? one.name : `${one.name} (${one.round})`, one.outcome]),
    );
  }

  async log(number: number, stage: string, query = "", repository = "acme/shop"): Promise<string> {
    const path = `/api/v1/builds/${repository}/${number}/stages/${encodeURIComponent(stage)}/log${query}`;
    return (await fetch(new URL(path, this.#url))).text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#daemons.map((one) => one[Symbol.asyncDispose]()));
    for (const repo of this.#repos) await repo[Symbol.asyncDispose]();
    await this.queue[Symbol.asyncDispose]();
    await this.nats[Symbol.asyncDispose]();
    await this.dir[Symbol.asyncDispose]();
  }
}

/**
 * A rig with a coordinator and an executor for all tests of a file, told to `take` before the first; after the last
 * nothing of it may be left.
 */
export function systemForAll(take: (rig: Rig) => void): void {
  let rig: Rig;
  let leaks: Snapshot;
  hooks.before(async () => {
    leaks = await snapshot();
    rig = await Rig.start();
    await rig.coordinator();
    rig.executor();
    take(rig);
  });
  hooks.after(async () => {
    await rig[Symbol.asyncDispose]();
    await assertNoLeaks(leaks);
  });
}
