/**
 * Commands in the workspace that becomes the image. Its root is another one, with uids and namespaces of its own; what
 * both have is a directory with named pipes, at whose other end a shell waits (`agent.ts`).
 */
import { execFile } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { promisify } from "node:util";

const PIPES = ["stdin", "stdout", "stderr", "status"] as const;
/** When the workspace ended before its command did. */
const GONE = 255;

export interface Command {
  readonly stdin: Writable;
  /** As with any SSH server: open for as long as something has it that the command left running. */
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** As a shell has it: 128 and more for signals. */
  readonly code: Promise<number>;
}

export interface Ended {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export class Target {
  readonly #dir: string;
  readonly #requests: number;
  readonly #socket: Socket;
  #number = 0;

  /** @param dir the directory that both workspaces see, with the pipe `requests` in it */
  constructor(dir: string) {
    this.#dir = dir;
    // Open for both, so that it neither waits for a reader nor is at its end before we are.
    this.#requests = openSync(join(dir, "requests"), constants.O_RDWR | constants.O_NONBLOCK);
    this.#socket = new Socket({ fd: this.#requests, readable: false, writable: true });
  }

  /** Starts `command` by the workspace's `/bin/sh`. */
  async start(command: string): Promise<Command> {
    this.#number += 1;
    const dir = join(this.#dir, String(this.#number));
    await mkdir(dir);
    const [stdin, stdout, stderr, status] = PIPES.map((name) => join(dir, name)) as [string, string, string, string];
    await promisify(execFile)("mkfifo", ["-m", "600", stdin, stdout, stderr, status]);
    await writeFile(join(dir, "command"), command);
    const [out, err, said] = [reader(stdout), reader(stderr), reader(status)];
    // Held until the other side has them, for a pipe without a writer is at its end.
    const held = [stdout, stderr, status].map((path) => openSync(path, constants.O_WRONLY));
    held.push(openSync(stdin, constants.O_RDWR | constants.O_NONBLOCK));
    const lines = createInterface({ input: said })[Symbol.asyncIterator]();
    this.#socket.write(`${this.#number}\n`);
    await lines.next();
    const into = new Socket({ fd: openSync(stdin, constants.O_WRONLY), readable: false, writable: true });
    for (const fd of held) closeSync(fd);
    into.on("error", () => undefined); // a command that does not read its input may end before it has all
    return { stdin: into, stdout: out, stderr: err, code: codeOf(lines, dir) };
  }

  /** Runs `command` to its end. */
  async run(command: string): Promise<Ended> {
    const { stdin, stdout, stderr, code } = await this.start(command);
    stdin.end();
    const [ended, out, err] = await Promise.all([code, buffer(stdout), text(stderr)]);
    return { code: ended, stdout: out, stderr: err };
  }

  /** Lets the other workspace end. */
  close(): void {
    this.#socket.destroy();
  }
}

function reader(path: string): Socket {
  return new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), readable: true, writable: false });
}

async function codeOf(lines: AsyncIterator<string>, dir: string): Promise<number> {
  const ended = await lines.next();
  await rm(dir, { recursive: true, force: true });
  const code = ended.done === true ? null : /^ended (\d+)$/.exec(ended.value)?.[1];
  return code === null || code === undefined ? GONE : Number(code);
}

/** One word of a shell, whatever is in it. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
