/** One process of the fleet, looked after as a service manager does: whatever ends it, it is started again. */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, readFileSync, type WriteStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CrashPoint } from "../../../kit/crash-points.ts";
import { TcpProxy } from "../../support/proxy.ts";
import { until } from "../../support/until.ts";
import type { Who } from "./plan.ts";

const TOROID = join(import.meta.dirname, "..", "..", "..", "bin", "toroid.ts");
const RESTART_MS = 200;
const READY_MS = 240_000;

export interface MemberSettings {
  readonly who: Who;
  /** Where its log goes. */
  readonly dir: string;
  /** Given the ports of its own links. */
  readonly env: (ports: { readonly nats: number; readonly queue: number }) => Readonly<Record<string, string>>;
  readonly natsPort: number;
  readonly queuePort: number;
}

export class Member implements AsyncDisposable {
  readonly who: Who;
  readonly nats: TcpProxy;
  readonly queue: TcpProxy;
  readonly #settings: MemberSettings;
  readonly #log: WriteStream;
  #child: ChildProcess | null = null;
  #extra: Readonly<Record<string, string>> = {};
  #crash: string | null = null;
  #downUntilMs = 0;
  #closing = false;
  #life: Promise<void>;
  #url: string | null = null;
  /** Ids under which an executor has announced itself, newest last; empty while it has not yet. */
  readonly ids: string[] = [];
  /** How often it ended, by how. */
  readonly ends = new Map<string, number>();
  lastEnd = "";
  /** How often it died where it was to. */
  crashes = 0;

  private constructor(settings: MemberSettings, nats: TcpProxy, queue: TcpProxy) {
    this.who = settings.who;
    this.#settings = settings;
    this.nats = nats;
    this.queue = queue;
    this.#log = createWriteStream(join(settings.dir, `${this.name}.log`));
    this.#life = this.#live();
  }

  static async start(settings: MemberSettings): Promise<Member> {
    const nats = await TcpProxy.start({ port: settings.natsPort });
    const queue = await TcpProxy.start({ port: settings.queuePort });
    return new Member(settings, nats, queue);
  }

  get name(): string {
    return `${this.who.kind}-${this.who.index}`;
  }

  /** Of the API, while there is one. */
  get url(): string | null {
    return this.#url;
  }

  async ready(): Promise<void> {
    const isReady = (): boolean => (this.who.kind === "coordinator" ? this.#url : this.ids.at(-1) || null) !== null;
    await until(`${this.name} to be ready`, () => this.#child !== null && isReady(), { withinMs: READY_MS });
  }

  /** Dies at once, and is away for a while. */
  kill(forMs: number): void {
    this.#downUntilMs = performance.now() + forMs;
    this.#child?.kill("SIGKILL");
  }

  /** From its next start on it dies when it comes to the point for the nth time. */
  crashAt(point: CrashPoint, nth: number): void {
    this.#crash = `${point}:${nth}`;
    this.#url = null;
    this.ids.push("");
    this.#child?.kill("SIGKILL");
  }

  /** Ends in order, and starts again with these variables besides its own. */
  async replace(extra: Readonly<Record<string, string>> = this.#extra): Promise<void> {
    this.#extra = extra;
    const child = this.#child;
    if (child === null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    this.#url = null;
    this.ids.push("");
    child.kill("SIGTERM");
    await gone;
  }

  /** Stops it for as long as `during` lasts. What runs in its sandbox is stopped as well, unless `alone`. */
  async stop(during: () => Promise<void>, alone: boolean): Promise<void> {
    const { pid } = this.#child ?? {};
    if (pid === undefined) return;
    const pids = alone ? [pid] : await familyOf(pid);
    for (const one of pids) signal(one, "SIGSTOP");
    try {
      await during();
    } finally {
      for (const one of pids.toReversed()) signal(one, "SIGCONT");
    }
  }

  /** Both its links. */
  get links(): readonly TcpProxy[] {
    return [this.nats, this.queue];
  }

  /** Ends for good. */
  async end(): Promise<void> {
    this.#closing = true;
    for (const link of this.links) link.reopen();
    const child = this.#child;
    child?.kill("SIGCONT");
    child?.kill("SIGTERM");
    const late = [setTimeout(() => child?.kill("SIGTERM"), 20_000), setTimeout(() => child?.kill("SIGKILL"), 40_000)];
    await this.#life;
    for (const timer of late) clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    for (const link of this.links) await link[Symbol.asyncDispose]();
    await new Promise<void>((resolve) => this.#log.end(resolve));
  }

  async #live(): Promise<void> {
    while (!this.#closing) {
      const how = await this.#once();
      this.lastEnd = how;
      this.ends.set(how, (this.ends.get(how) ?? 0) + 1);
      if (!this.#closing) await sleep(Math.max(RESTART_MS, this.#downUntilMs - performance.now()));
    }
  }

  /** One life of the process; answers how it ended. */
  #once(): Promise<string> {
    const { env } = this.#settings;
    const isDoomed = this.#crash !== null;
    const crash = this.#crash === null ? {} : { TOROID_CRASH_AT: this.#crash };
    this.#crash = null;
    this.ids.push("");
    const given = env({ nats: this.nats.port, queue: this.queue.port });
    const child = spawn(process.execPath, [TOROID, this.who.kind], {
      env: { ...process.env, ...given, ...this.#extra, ...crash },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child = child;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#log.write(text);
      for (const [, id = ""] of text.matchAll(/"executor":"([^"]+)"[^\n]*"executor ready"/g)) this.ids.push(id);
    });
    child.on("message", (message: { readonly url?: string }) => {
      this.#url = message.url ?? null;
    });
    return new Promise((resolve) => {
      child.once("exit", (code, name) => {
        this.#child = null;
        this.#url = null;
        if (isDoomed && name === "SIGKILL") this.crashes += 1;
        resolve(name ?? String(code));
      });
    });
  }
}

/** A process and all below it. */
async function familyOf(pid: number): Promise<readonly number[]> {
  const parents = new Map<number, number[]>();
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = parentOf(name);
    if (parent !== null) parents.set(parent, [...(parents.get(parent) ?? []), Number(name)]);
  }
  const family = [pid];
  for (const one of family) family.push(...(parents.get(one) ?? []));
  return family;
}

function parentOf(pid: string): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return null; // it has ended
  }
}

/** To a process that may have ended. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
