/** `toroid-sandbox serve` with a client that is nobody's account: its directories, its socket, and what is said there. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, existsSync, openSync } from "node:fs";
import { chmod, chown, lchown, mkdir, readdir, readFile, rmdir, symlink, writeFile } from "node:fs/promises";
import { connect, Socket } from "node:net";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { HELPER, makeCgroup } from "../../abuse/rig.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";

export const CLIENT = 45_678;

/** One line of an answer. */
export interface Event {
  readonly event: string;
  readonly [member: string]: unknown;
}

export interface Answer {
  readonly events: readonly Event[];
  /** The first of that kind. */
  readonly of: (kind: string) => Event | undefined;
  /** What says how it went: the last word about a run, else whatever was said last. */
  readonly said: Event;
}

/** One connection, from its request on. */
export interface Asking {
  readonly socket: Socket;
  readonly answer: Promise<Answer>;
  heard(kind: string): Promise<Event>;
}

export function requestOf(words: readonly string[]): Buffer {
  const text = Buffer.from(words.map((word) => `${word}\0`).join(""));
  const head = Buffer.alloc(4);
  head.writeUInt32LE(text.length);
  return Buffer.concat([head, text]);
}

export interface Output {
  readonly path: string;
  /** What was printed so far. */
  readonly text: () => string;
  /** All of it, once nobody else can print any more. */
  whole(): Promise<string>;
}

export class ServeRig implements AsyncDisposable {
  readonly dir: string;
  readonly socket: string;
  readonly share: string;
  readonly images: string;
  readonly state: string;
  readonly process: ChildProcess;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  readonly ready: Event;
  readonly #temp: TempDir;
  readonly #cgroup: string | null;
  #names = 0;
  readonly #open = new Set<Socket>();

  private constructor(
    temp: TempDir,
    cgroup: string | null,
    { child, exited, ready }: Awaited<ReturnType<typeof startServe>>,
  ) {
    this.#temp = temp;
    this.#cgroup = cgroup;
    this.dir = temp.path;
    this.socket = join(this.dir, "socket");
    this.share = join(this.dir, "share");
    this.images = join(this.dir, "images");
    this.state = join(this.dir, "state");
    this.process = child;
    this.exited = exited;
    this.ready = ready;
  }

  static async start(options: readonly string[] = [], o: Partial<StartOptions> = {}): Promise<ServeRig> {
    const temp = await tempDir("toroid-serve-");
    await chmod(temp.path, 0o711);
    const cgroup = await makeCgroup();
    for (const [name, mode, owner] of [
      ["state", 0o700, 0],
      ["share", 0o700, CLIENT],
      ["images", 0o755, 0],
    ] as const) {
      await mkdir(join(temp.path, name), { mode });
      await chown(join(temp.path, name), owner, owner);
    }
    const at = (name: string): string => join(temp.path, name);
    const words = ["serve", "--socket", at("socket"), "--client-uid", String(CLIENT), "--state", at("state")];
    words.push("--share", at("share"), "--images", at("images"), "--slots", "2", ...options);
    if (cgroup !== null) words.push("--cgroup", cgroup);
    return new ServeRig(temp, cgroup, await startServe(words, { within: [], stdin: "ignore", ...o }));
  }

  /** Writes to it as it is. */
  connect(): Asking {
    const socket = connect({ path: this.socket, allowHalfOpen: true });
    this.#open.add(socket);
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    const ended = new Promise<void>((resolve) => {
      socket.once("end", () => {
        socket.end();
        resolve();
      });
      socket.once("error", () => resolve());
      socket.once("close", () => resolve());
    });
    const events = (): Event[] =>
      text
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line));
    const of = (kind: string): Event | undefined => events().find(({ event }) => event === kind);
    return {
      socket,
      heard: (kind) => until(`the event ${kind}, after ${text}`, () => of(kind)),
      answer: ended.then(() => ({
        events: events(),
        of,
        said: of("exit") ?? events().at(-1) ?? { event: "nothing" },
      })),
    };
  }

  open(...words: readonly string[]): Asking {
    const asking = this.connect();
    asking.socket.write(requestOf(words));
    return asking;
  }

  ask(...words: readonly string[]): Promise<Answer> {
    return this.open(...words).answer;
  }

  /** The words of a run of a line of shell. */
  runWords(scratch: string, line: string, options: readonly string[] = [], slot = 0): readonly string[] {
    const words = ["--image", "host", "--scratch", scratch, "--slot", String(slot), ...options];
    return ["run", ...words, "--", "/bin/sh", "-c", line];
  }

  /** Runs it to its end and answers what it printed as well. */
  async sh(
    line: string,
    options: readonly string[] = [],
    { scratch = `s${(this.#names += 1)}`, slot = 0 } = {},
  ): Promise<Answer & { readonly printed: string }> {
    const output = await this.output();
    const words = this.runWords(scratch, line, ["--output", output.path, ...options], slot);
    const answer = await this.ask(...words);
    return { ...answer, printed: await output.whole() };
  }

  /** A named pipe of the client's that is read. */
  async output(): Promise<Output> {
    const path = join(this.share, `out${(this.#names += 1)}`);
    await execa("mkfifo", ["-m", "622", path]);
    await chown(path, CLIENT, CLIENT);
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    // A pipe that nobody has open for writing has ended: ours is the first, and given up by whoever waits for the whole.
    const writer = openSync(path, constants.O_WRONLY);
    let text = "";
    const reader = new Socket({ fd, readable: true, writable: false }).setEncoding("utf8");
    this.#open.add(reader);
    reader.on("data", (chunk: string) => (text += chunk));
    const ended = once(reader, "close");
    return {
      path,
      text: () => text,
      whole: async () => {
        closeSync(writer);
        await ended;
        return text;
      },
    };
  }

  /** Something in the share, by default the client's. */
  async put(
    path: string,
    { text = "", owner = CLIENT, mode = 0o644 }: { text?: string; owner?: number; mode?: number } = {},
  ): Promise<string> {
    const at = join(this.share, path);
    await this.folder(dirname(path));
    await writeFile(at, text);
    await chown(at, owner, owner);
    await chmod(at, mode);
    return at;
  }

  async folder(path: string, { owner = CLIENT, mode = 0o755 } = {}): Promise<string> {
    const at = join(this.share, path);
    if (path === "." || existsSync(at)) return at;
    await this.folder(dirname(path));
    await mkdir(at);
    await chown(at, owner, owner);
    await chmod(at, mode);
    return at;
  }

  async link(path: string, to: string): Promise<string> {
    const at = join(this.share, path);
    await symlink(to, at);
    await lchown(at, CLIENT, CLIENT);
    return at;
  }

  async #cgroups(): Promise<readonly string[]> {
    if (this.#cgroup === null) return [];
    const entries = await readdir(this.#cgroup, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  }

  /** What of runs is in the state directory. */
  async scratches(): Promise<readonly string[]> {
    return (await readdir(this.state)).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    this.process.kill("SIGTERM");
    const last = setTimeout(() => this.process.kill("SIGKILL"), 20_000);
    await this.exited;
    clearTimeout(last);
    await until("what runs to be over", async () => (await this.#cgroups()).length === 0);
    if (this.#cgroup !== null) await rmdir(this.#cgroup);
    await this.#temp[Symbol.asyncDispose]();
  }
}

interface StartOptions {
  /** Words before the helper's, that start it otherwise. */
  readonly within: readonly string[];
  readonly stdin: "ignore" | "pipe";
}

async function startServe(words: readonly string[], { within, stdin }: StartOptions) {
  const [program = "", ...rest] = [...within, HELPER, ...words];
  const child = spawn(program, rest, { stdio: [stdin, "pipe", "inherit"] });
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  assert.ok(child.stdout !== null);
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const ready = await until("serve to be ready", () => text.includes("\n") && (JSON.parse(text) as Event));
  return { child, exited, ready };
}

/** The first process inside whose command line has `text`, on the host; undefined when there is none. */
export async function processWith(text: string): Promise<number | undefined> {
  for (const id of await readdir("/proc")) {
    if (!/^\d+$/.test(id)) continue;
    const words = await readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "");
    if (words.split("\0").includes(text)) return Number(id);
  }
  return undefined;
}
