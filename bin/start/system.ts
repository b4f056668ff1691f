/** The whole system on this machine: NATS, queue, coordinator, executor, each a part that can be killed by itself. */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findNatsServer, startNatsServer } from "../../kit/nats-server.ts";
import { QUEUE_CREDENTIALS, QUEUE_REGION, startQueueServer } from "../../kit/queue-server.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { EXIT, Failure } from "../exit.ts";
import { weakMachine } from "./allowances.ts";
import { unlessAborted } from "./ending.ts";

export const TOROID = join(import.meta.dirname, "..", "toroid.ts");
const PROJECT = join(import.meta.dirname, "..", "..");
const CACHE = join(PROJECT, ".toroid", "cache");
const STORE_BYTES = 4 * 1024 * 1024 * 1024;
const READY_MS = 30_000;
const DRAIN_MS = 15_000;

export interface SystemOptions {
  readonly dir: string;
  /** 0: any free one. */
  readonly ports: { readonly http: number; readonly nats: number; readonly queue: number };
  readonly slots: number | null;
  readonly say: (line: string) => void;
  /** Starting is given up when it aborts. */
  readonly ending: AbortSignal;
}

export interface System extends AsyncDisposable {
  readonly url: string;
  readonly natsUrl: string;
  /** What a client of the queue needs. */
  readonly queueEnvironment: Readonly<Record<string, string>>;
  /** Rejects when a part ends that should not. */
  readonly broken: Promise<never>;
  readonly coordinator: ChildProcess;
  readonly executor: ChildProcess;
}

/**
 * Starts everything and resolves when a push would be taken. Each part ends with this process, whatever ends it.
 *
 * @throws {ToroidError} one sentence about the part that did not start.
 */
export async function startSystem(o: SystemOptions): Promise<System> {
  await using undo = new AsyncDisposableStack();
  await mkdir(o.dir, { recursive: true });
  const binary = await unlessAborted(o.ending, findNatsServer(CACHE, o.say));
  const nats = undo.use(
    await startNatsServer({
      binary: binary.path,
      storeDir: join(o.dir, "nats"),
      host: "127.0.0.1",
      port: o.ports.nats,
      syncAlways: true,
      monitorPort: 0,
      maxFileBytes: STORE_BYTES,
    }),
  );
  o.ending.throwIfAborted();
  const queue = undo.use(await startQueueServer({ port: o.ports.queue, dir: join(o.dir, "queue") }));
  const queueEnvironment = {
    TOROID_QUEUE_URL: queue.queueUrl,
    TOROID_DEAD_LETTER_URL: queue.deadLetterUrl,
    TOROID_QUEUE_ENDPOINT: queue.endpoint,
    AWS_REGION: QUEUE_REGION,
    AWS_ACCESS_KEY_ID: QUEUE_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: QUEUE_CREDENTIALS.secretAccessKey,
  };
  const shared = { TOROID_NATS_URL: nats.url, TOROID_NATS_MONITOR_URL: nats.monitorUrl ?? "" };

  const coordinator = undo.use(
    startPart("coordinator", o.dir, {
      ...shared,
      ...queueEnvironment,
      TOROID_STORE_BYTES: String(STORE_BYTES),
      TOROID_HTTP_PORT: String(o.ports.http),
    }),
  );
  const [url, weak] = await unlessAborted(o.ending, Promise.all([coordinator.ready(), weakMachine(process.env)]));
  if (weak.length > 0)
    o.say(`this machine lacks what builds are held to elsewhere, and here they run without: ${weak.join(", ")}`);
  const executor = undo.use(
    startPart("executor", o.dir, {
      ...shared,
      TOROID_EXECUTOR_STATE: join(o.dir, "executor"),
      // Everything here is this user's own; on a build host, local paths stay forbidden.
      TOROID_ALLOW_LOCAL_REMOTES: "1",
      TOROID_PUBLIC_URL: url,
      ...(weak.length === 0 ? {} : { TOROID_ALLOW_WEAK: weak.join(",") }),
      ...(o.slots === null ? {} : { TOROID_SLOTS: String(o.slots) }),
    }),
  );
  const natsEnded = nats.exited.then(({ code, signal }) => {
    throw new ToroidError("TOR_NATS_UNREACHABLE", `nats-server ended with ${signal ?? code ?? "no code"}`);
  });
  const broken = Promise.race([natsEnded, coordinator.ended, executor.ended]);
  broken.catch(() => undefined); // whoever waits for it hears
  const kept = undo.move();
  return {
    url,
    natsUrl: nats.url,
    queueEnvironment,
    broken,
    coordinator: coordinator.child,
    executor: executor.child,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

interface Part extends AsyncDisposable {
  readonly child: ChildProcess;
  /** Resolves with the URL that it serves. */
  ready(): Promise<string>;
  readonly ended: Promise<never>;
}

function startPart(name: "coordinator" | "executor", dir: string, environment: Readonly<Record<string, string>>): Part {
  const logPath = join(dir, `${name}.log`);
  const child = spawn(process.execPath, [TOROID, name], {
    env: { ...process.env, ...environment },
    // The channel tells it when we are gone; standard error is its log.
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    // In a session of its own: a Ctrl-C reaches only us, and we end it in our order.
    detached: true,
  });
  keepLog(child, logPath);
  const exited = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ?? `code ${code ?? "?"}`));
  });
  let leaving = false;
  const ended = exited.then(async (how) => {
    if (leaving) return new Promise<never>(() => undefined);
    throw await lastError(name, how, logPath);
  });
  ended.catch(() => undefined); // whoever waits for it hears
  const answered = new Promise<string>((resolve) => {
    child.on("message", (message) => {
      if (typeof message === "object" && message !== null && "url" in message) resolve(String(message.url));
    });
  });
  async function ready(): Promise<string> {
    const late = new AbortController();
    const expired = delay(READY_MS, undefined, { signal: late.signal, ref: false }).then(() => {
      const message = `the ${name} was not ready after ${READY_MS / 1000} s; its log is ${logPath}`;
      throw new ToroidError("TOR_INTERNAL", message, { part: name });
    });
    expired.catch(() => undefined); // the race below hears, or nobody needs to
    try {
      return await Promise.race([answered, ended, expired]);
    } finally {
      late.abort();
    }
  }
  return {
    child,
    ready,
    ended,
    async [Symbol.asyncDispose]() {
      leaving = true;
      child.kill("SIGTERM");
      const hard = setTimeout(() => child.kill("SIGTERM"), DRAIN_MS);
      const last = setTimeout(() => child.kill("SIGKILL"), 2 * DRAIN_MS);
      await exited;
      clearTimeout(hard);
      clearTimeout(last);
    },
  };
}

/** Where the log cannot be kept, the part runs on without. */
function keepLog(child: ChildProcess, path: string): void {
  const log = createWriteStream(path, { flags: "w" });
  log.on("error", () => child.stderr?.resume());
  child.stderr?.pipe(log);
}

/** What a part said last: its error on the way out, as it would have printed it. */
async function lastError(name: string, how: string, logPath: string): Promise<Error> {
  const lines = (await readFile(logPath, "utf8").catch(() => "")).trimEnd().split("\n");
  const [, sentence, code] =
    /^toroid: (.*) \((TOR_[A-Z_]+)\)$/.exec(lines.findLast((line) => line.startsWith("toroid: ")) ?? "") ?? [];
  if (sentence !== undefined && code !== undefined && code !== "TOR_INTERNAL") {
    return new Failure(EXIT.server, code, `the ${name} ended: ${sentence}`);
  }
  const last = sentence ?? lines.at(-1) ?? "";
  return new ToroidError("TOR_INTERNAL", `the ${name} ended (${how}): ${last}; its log is ${logPath}`, { part: name });
}
