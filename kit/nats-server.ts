import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { mkdir, readdir, readFile, realpath, rm, statfs, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ToroidError } from "../protocol/errors.ts";
import { type Lock, tryLock } from "./lock.ts";
import { configText } from "./nats-server/config.ts";

export { findNatsServer } from "./nats-server/find.ts";

const START_MS = 60_000;
const STOP_MS = 10_000;
const POLL_MS = 5;
const LAST_LINES = 20;
const MAX_PAYLOAD_BYTES = 1024 * 1024;
/** Beyond this share of the disk, publishes would time out without a code instead of being refused with one. */
const DISK_SHARE = 0.75;

export interface NatsServerOptions {
  readonly binary: string;
  /** JetStream's files, the configuration and nothing of anybody else. Made when missing. */
  readonly storeDir: string;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Sync to disk before each acknowledgement. Production must; it costs about 0.4 ms a message. */
  readonly syncAlways: boolean;
  /** What all streams together may reserve; three quarters of the disk when left out. */
  readonly maxFileBytes?: number;
  readonly maxPayloadBytes?: number;
  readonly name?: string;
  readonly monitorPort?: number;
  /** Gets each line of the server's log. */
  readonly onLine?: (line: string) => void;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A nats-server that is ready for connections, as a child of this process. */
export interface RunningNatsServer extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly port: number;
  readonly monitorUrl: string | undefined;
  /** Resolves when the process is gone, whatever ended it, and its directory may be used again. */
  readonly exited: Promise<Exit>;
  /** Ends it in order: SIGTERM, and SIGKILL when it has not gone after ten seconds. */
  stop(): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/**
 * Starts nats-server with JetStream on `storeDir` and resolves once it takes connections. It dies with the thread
 * that started it, even by `kill -9`, where `setpriv` is there to arrange that. Starting it again on the same
 * directory and port continues where the last one ended.
 *
 * @throws {ToroidError} TOR_ADDRESS_IN_USE when the port or the directory is taken, TOR_NATS_UNREACHABLE when it does
 * not come up.
 */
export async function startNatsServer(o: NatsServerOptions): Promise<RunningNatsServer> {
  await mkdir(o.storeDir, { recursive: true });
  const storeDir = await realpath(o.storeDir);
  await refuseTakenPort(o.host, o.port);
  const lock = await tryLock(`nats-server store ${storeDir}`);
  if (lock === undefined) {
    throw new ToroidError("TOR_ADDRESS_IN_USE", `another nats-server of Toroid is running on ${storeDir}`, {
      storeDir,
    });
  }
  try {
    for (const name of await readdir(storeDir)) if (name.endsWith(".ports")) await rm(join(storeDir, name));
    const config = join(storeDir, "nats.conf");
    const maxFileBytes = o.maxFileBytes ?? (await shareOfDisk(storeDir));
    const maxPayloadBytes = o.maxPayloadBytes ?? MAX_PAYLOAD_BYTES;
    await writeFile(config, configText({ ...o, storeDir, portsDir: storeDir, maxFileBytes, maxPayloadBytes }));
    const child = spawnBound(o.binary, ["-c", config]);
    const lines = lastLines(child, o.onLine);
    const exited = releasedAfter(exitOf(child), lock);
    exited.catch(() => undefined); // whoever waits for it hears; nobody has to
    return await whenReady(child, exited, lines, { ...o, storeDir });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function whenReady(
  child: ChildProcess,
  exited: Promise<Exit>,
  lines: readonly string[],
  o: NatsServerOptions,
): Promise<RunningNatsServer> {
  let gone: Exit | undefined;
  void exited.then(
    (exit) => (gone = exit),
    () => undefined,
  );
  const deadline = Date.now() + START_MS;
  for (;;) {
    if (child.pid === undefined) await exited; // throws what spawn failed with
    if (gone !== undefined) throw failedToStart(o, lines, `ended with ${gone.signal ?? gone.code ?? "no code"}`);
    const ports = await readPorts(join(o.storeDir, `nats-server_${child.pid}.ports`));
    const url = ports?.nats[0];
    if (url !== undefined && child.pid !== undefined)
      return running(child, child.pid, exited, url, ports?.monitoring?.[0]);
    if (Date.now() > deadline) {
      child.kill("SIGKILL");
      throw failedToStart(o, lines, `was not ready after ${START_MS / 1000} s`);
    }
    await sleep(POLL_MS);
  }
}

function running(
  child: ChildProcess,
  pid: number,
  exited: Promise<Exit>,
  url: string,
  monitorUrl: string | undefined,
): RunningNatsServer {
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const patience = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await exited.finally(() => clearTimeout(patience));
  };
  return {
    url,
    pid,
    port: Number(new URL(url).port),
    monitorUrl,
    exited,
    stop,
    kill: (signal) => void child.kill(signal),
    [Symbol.asyncDispose]: stop,
  };
}

/** A child in a session of its own, so that Ctrl-C reaches only us and we end it in our order. */
function spawnBound(binary: string, args: readonly string[]): ChildProcess {
  const stdio = ["ignore", "ignore", "pipe"] as const;
  const setpriv = programOnPath("setpriv");
  if (setpriv === undefined) return spawn(binary, args, { stdio: [...stdio] });
  return spawn(setpriv, ["--pdeathsig", "KILL", "--", binary, ...args], { stdio: [...stdio], detached: true });
}

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => {
      reject(new ToroidError("TOR_TOOL_MISSING", `cannot run nats-server: ${cause.message}`, {}, { cause }));
    });
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
}

async function releasedAfter(exited: Promise<Exit>, lock: Lock): Promise<Exit> {
  try {
    return await exited;
  } finally {
    await lock.release();
  }
}

/** The server's last words, kept for the error when it does not come up. */
function lastLines(child: ChildProcess, onLine: ((line: string) => void) | undefined): readonly string[] {
  const lines: string[] = [];
  let partial = "";
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    const pieces = (partial + chunk).split("\n");
    partial = pieces.pop() ?? "";
    for (const line of pieces) onLine?.(line);
    lines.push(...pieces);
    lines.splice(0, lines.length - LAST_LINES);
  });
  return lines;
}

interface Ports {
  readonly nats: readonly string[];
  readonly monitoring?: readonly string[];
}

/** Undefined until the server has written the whole file, which it does when it takes connections. */
async function readPorts(file: string): Promise<Ports | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Ports;
  } catch {
    return undefined;
  }
}

function failedToStart(o: NatsServerOptions, lines: readonly string[], how: string): ToroidError {
  const fatal = lines.findLast((line) => line.includes("[FTL]")) ?? lines.at(-1) ?? "it said nothing";
  const [, host, port] = /listen tcp (\S+):(\d+): bind: address already in use/.exec(fatal) ?? [];
  if (host !== undefined) return portTaken(host, Number(port));
  const why = fatal.replace(/^.*?\[[A-Z]+\]\s*/, "");
  return new ToroidError("TOR_NATS_UNREACHABLE", `nats-server ${how}: ${why}`, { storeDir: o.storeDir });
}

/** Asked before the server opens its store, which it does before it would notice that the port is taken. */
async function refuseTakenPort(host: string, port: number): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once("error", (error: NodeJS.ErrnoException) => {
      reject(error.code === "EADDRINUSE" ? portTaken(host, port) : error);
    });
    probe.listen(port, host, () => probe.close(() => resolve()));
  });
}

function portTaken(host: string, port: number): ToroidError {
  const message = `cannot start nats-server: ${host}:${port} is in use by another program`;
  return new ToroidError("TOR_ADDRESS_IN_USE", message, { host, port });
}

async function shareOfDisk(path: string): Promise<number> {
  const { blocks, bsize } = await statfs(path);
  return Math.floor(blocks * bsize * DISK_SHARE);
}

function programOnPath(name: string): string | undefined {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    try {
      const path = join(folder, name);
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return undefined;
}
