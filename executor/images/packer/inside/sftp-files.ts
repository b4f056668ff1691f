/**
 * Files of the image as SFTP has them: opened, read and written by place. The image need have no more than a shell, `cat`,
 * `chmod`, `mkdir`, `stat`, and what is asked for.
 */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import type { Attributes } from "ssh2";
import { type Command, quoted, type Target } from "./target.ts";

/** What the client is told. */
export class SftpFailure extends Error {
  readonly reason: "missing" | "denied" | "failed";

  constructor(message: string) {
    super(message);
    this.reason = /no such file|nonexistent|not found/i.test(message)
      ? "missing"
      : /permission denied/i.test(message)
        ? "denied"
        : "failed";
  }
}

/** As an answer has it. */
export interface Entry {
  readonly filename: string;
  readonly longname: string;
  readonly attrs: Attributes;
}

/** What a client may send before its turn. */
const EARLY_MOST_BYTES = 16 * 1024 * 1024;

export class SftpFiles {
  readonly #target: Target;
  #spools = 0;

  constructor(target: Target) {
    this.#target = target;
  }

  /** Runs `command`, and answers what it prints. */
  async ask(command: string): Promise<string> {
    const { code, stdout, stderr } = await this.#target.run(command);
    if (code === 0) return stdout.toString("utf8");
    throw new SftpFailure(lastLine(stderr) ?? `exit code ${code}`);
  }

  /** @param follows whether a link counts as what it leads to */
  async attributes(path: string, follows: boolean): Promise<Attributes> {
    return attributesOf(await this.ask(`stat ${follows ? "-L " : ""}-c '${FORMAT}' ${word(path)}`));
  }

  async change(path: string, { mode, uid, gid, size, atime, mtime }: Partial<Attributes>): Promise<void> {
    const at = word(path);
    const changes = [
      ...(size === undefined ? [] : [`truncate -s ${size} ${at}`]),
      ...(uid === undefined || gid === undefined ? [] : [`chown ${uid}:${gid} ${at}`]),
      ...(mode === undefined ? [] : [`chmod ${(mode & 0o7777).toString(8)} ${at}`]),
      ...(atime === undefined ? [] : [`touch -a -d @${atime} ${at}`]),
      ...(mtime === undefined ? [] : [`touch -m -d @${mtime} ${at}`]),
    ];
    if (changes.length > 0) await this.ask(changes.join(" && "));
  }

  /** What is in a directory. */
  async list(path: string): Promise<readonly Entry[]> {
    const each = `[ -e "$name" ] || [ -L "$name" ] || continue; printf '%s\\0' "$name"; stat -c '${FORMAT}' "./$name"`;
    const said = await this.ask(`cd ${word(path)} && for name in * .[!.]* ..?*; do ${each}; done`);
    // A name, a zero, a line.
    return [...said.matchAll(/([^\0]+)\0(.*)\n/g)].map(([, filename = "", line = ""]) => ({
      filename,
      longname: filename,
      attrs: attributesOf(line),
    }));
  }

  /** All of it is fetched first: then it can be read from anywhere, and an end is one. */
  async reading(path: string): Promise<Reading> {
    this.#spools += 1;
    const spool = join(tmpdir(), `toroid-sftp-${process.pid}-${this.#spools}`);
    const { stdin, stdout, stderr, code } = await this.#target.start(`cat ${word(path)}`);
    stdin.end();
    const [said] = await Promise.all([text(stderr), pipeline(stdout, createWriteStream(spool, { mode: 0o600 }))]);
    const ended = await code;
    const file = await open(spool, "r");
    await rm(spool);
    if (ended === 0) return new Reading(path, file);
    await file.close();
    throw new SftpFailure(lastLine(said) ?? `${path}: exit code ${ended}`);
  }

  /** @param how as the shell opens it */
  async writing(path: string, how: ">" | ">>" | "1<>"): Promise<Writing> {
    // It is made, or refused, before anything is sent.
    await this.ask(`: >>${word(path)}`);
    return new Writing(path, how, (command) => this.#target.start(command));
  }
}

export class Reading {
  readonly path: string;
  readonly #file: FileHandle;

  constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  async size(): Promise<number> {
    return (await this.#file.stat()).size;
  }

  /** Empty at the end. */
  async read(at: number, most: number): Promise<Buffer> {
    const { bytesRead, buffer } = await this.#file.read(Buffer.alloc(most), 0, most, at);
    return buffer.subarray(0, bytesRead);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** A file that is written from its beginning to its end. Clients send that in order, or nearly so. */
export class Writing {
  readonly path: string;
  readonly #start: (command: string) => Promise<Command>;
  #how: ">" | ">>" | "1<>";
  #sink: { readonly command: Command; readonly said: Promise<string> } | null = null;
  #at = 0;
  readonly #early = new Map<number, Buffer>();
  #earlyBytes = 0;

  constructor(path: string, how: ">" | ">>" | "1<>", start: (command: string) => Promise<Command>) {
    this.path = path;
    this.#how = how;
    this.#start = start;
  }

  async write(at: number, data: Buffer): Promise<void> {
    // Of what is appended to, nobody counts from its beginning.
    if (this.#how === ">>" && this.#sink === null && this.#at === 0) this.#at = at;
    if (at < this.#at) throw new SftpFailure(`${this.path}: what was written cannot be written again`);
    this.#early.set(at, data);
    this.#earlyBytes += data.length;
    if (this.#earlyBytes > EARLY_MOST_BYTES) throw new SftpFailure(`${this.path}: too much is sent out of order`);
    for (let next = this.#early.get(this.#at); next !== undefined; next = this.#early.get(this.#at)) {
      this.#early.delete(this.#at);
      this.#earlyBytes -= next.length;
      await this.#append(next);
    }
  }

  async #append(data: Buffer): Promise<void> {
    if (this.#sink === null) {
      const command = await this.#start(`cat ${this.#how}${word(this.path)}`);
      this.#sink = { command, said: text(command.stderr) };
      command.stdout.resume();
    }
    const { stdin } = this.#sink.command;
    this.#at += data.length;
    if (!stdin.writable) return this.finish();
    if (!stdin.write(data)) await Promise.race([once(stdin, "drain"), once(stdin, "close")]);
  }

  /** Resolves when all that was sent is in the file. What is sent afterwards follows it. */
  async finish(): Promise<void> {
    if (this.#early.size > 0) throw new SftpFailure(`${this.path}: a part of it was never sent`);
    if (this.#sink === null && this.#how === ">" && this.#at === 0) await this.#append(Buffer.alloc(0));
    if (this.#sink === null) return;
    const { command, said } = this.#sink;
    this.#sink = null;
    this.#how = ">>";
    command.stdin.end();
    const [code, stderr] = await Promise.all([command.code, said]);
    if (code !== 0) throw new SftpFailure(lastLine(stderr) ?? `${this.path}: exit code ${code}`);
  }

  async close(): Promise<void> {
    await this.finish();
  }
}

/** One word of a shell that is a path, and no option. */
export function word(path: string): string {
  return quoted(path === "" ? "." : path.startsWith("-") ? `./${path}` : path);
}

/** How `stat` is asked. */
const FORMAT = "%f %s %u %g %X %Y";

function attributesOf(said: string): Attributes {
  const [mode = "", ...rest] = said.trim().split(" ");
  const [size = 0, uid = 0, gid = 0, atime = 0, mtime = 0] = rest.map(Number);
  return { mode: Number.parseInt(mode, 16), size, uid, gid, atime, mtime };
}

function lastLine(said: string): string | null {
  return said.trim().split("\n").at(-1) || null;
}
