/**
 * `scp -t` and `scp -f` as the far side speaks them. Spoken here, for an image need not have scp; what is read and written
 * goes through `cat`, `chmod`, `mkdir` and `stat` of the image.
 */
import type { Duplex } from "node:stream";
import { ByteReader } from "./byte-reader.ts";
import { quoted, type Target } from "./target.ts";

export interface Scp {
  /** `to`: the client sends. */
  readonly direction: "to" | "from";
  readonly recursive: boolean;
  /** As the client wrote it, for a shell to read. */
  readonly word: string;
}

/** What a command asks for that is an scp, or null. Pure. */
export function scpOf(command: string): Scp | null {
  const [, flags = "", word = ""] = /^scp((?:\s+-[a-z]+)+)\s+(?:--\s+)?(\S.*)$/s.exec(command.trim()) ?? [];
  const letters = flags.replaceAll(/[\s-]/g, "");
  if (letters.includes("t") === letters.includes("f")) return null;
  return { direction: letters.includes("t") ? "to" : "from", recursive: letters.includes("r"), word };
}

/** `C0644 12 name`. */
export interface Entry {
  readonly kind: "file" | "directory";
  readonly mode: string;
  readonly bytes: number;
  readonly name: string;
}

/** The header of a file or directory, or null. Names lead nowhere else. Pure. */
export function entryOf(line: string): Entry | null {
  const [, letter, mode = "", bytes = "", name = ""] = /^([CD])0?([0-7]{3,4}) (\d{1,15}) ([^/\0]+)$/.exec(line) ?? [];
  if (letter === undefined || name === "." || name === "..") return null;
  return { kind: letter === "C" ? "file" : "directory", mode, bytes: Number(bytes), name };
}

const FINE = Buffer.of(0);

/** Answers the exit code. */
export async function serveScp(channel: Duplex, scp: Scp, target: Target): Promise<number> {
  const peer = new Peer(channel);
  try {
    const path = await pathOf(scp.word, target);
    if (scp.direction === "to") await receive(peer, path, target);
    else await send(peer, path, scp.recursive, target);
    return 0;
  } catch (error) {
    if (!(error instanceof ScpFailure)) throw error;
    await peer.say(Buffer.from(`\u0001scp: ${error.message}\n`));
    return 1;
  }
}

/** What the client is told, and ends the transfer. */
class ScpFailure extends Error {}

class Peer {
  readonly #channel: Duplex;
  readonly reader: ByteReader;

  constructor(channel: Duplex) {
    this.#channel = channel;
    this.reader = new ByteReader(channel);
  }

  async say(bytes: Uint8Array): Promise<void> {
    if (!this.#channel.write(bytes)) await new Promise((resolve) => this.#channel.once("drain", resolve));
  }

  /** Waits until the client agrees. */
  async agreed(): Promise<void> {
    const [byte] = await this.reader.take(1);
    if (byte === 0) return;
    throw new ScpFailure(
      byte === undefined ? "the client has gone" : ((await this.reader.line()) ?? "the client refused"),
    );
  }
}

/** As a shell of the image reads the word. */
async function pathOf(word: string, target: Target): Promise<string> {
  return must(await target.run(`printf %s ${word}`), word).toString("utf8");
}

function must(ended: Awaited<ReturnType<Target["run"]>>, what: string): Buffer {
  if (ended.code === 0) return ended.stdout;
  const [said = ""] = ended.stderr.trim().split("\n").slice(-1);
  throw new ScpFailure(said === "" ? `${what}: exit code ${ended.code}` : said);
}

/** The client's files, to `path`. */
async function receive(peer: Peer, path: string, target: Target): Promise<void> {
  const isDirectory = (await target.run(`test -d ${quoted(path)}`)).code === 0;
  /** Where we are, and below. */
  const trail: string[] = isDirectory ? [path] : [];
  await peer.say(FINE);
  for (;;) {
    const line = await peer.reader.line();
    if (line === null) return;
    if (line.startsWith("\u0001") || line.startsWith("\u0002")) throw new ScpFailure(line.slice(1));
    if (line === "E") trail.pop();
    else if (!line.startsWith("T")) {
      const entry = entryOf(line);
      if (entry === null) throw new ScpFailure(`cannot read ${JSON.stringify(line.slice(0, 100))}`);
      const below = trail.at(-1);
      const to = below === undefined ? path : `${below === "/" ? "" : below}/${entry.name}`;
      if (entry.kind === "directory") {
        must(await target.run(`mkdir -p ${quoted(to)} && chmod ${entry.mode} ${quoted(to)}`), to);
        trail.push(to);
      } else await receiveFile(peer, entry, to, target);
    }
    await peer.say(FINE);
  }
}

async function receiveFile(peer: Peer, entry: Entry, to: string, target: Target): Promise<void> {
  const writing = await target.start(`cat >${quoted(to)} && chmod ${entry.mode} ${quoted(to)}`);
  await peer.say(FINE);
  await peer.reader.into(writing.stdin, entry.bytes);
  writing.stdin.end();
  const stderr: Buffer[] = [];
  for await (const chunk of writing.stderr) stderr.push(chunk as Buffer);
  const ended = { code: await writing.code, stdout: Buffer.alloc(0), stderr: Buffer.concat(stderr).toString("utf8") };
  await peer.agreed();
  must(ended, to);
}

/** `path`, to the client. */
async function send(peer: Peer, path: string, recursive: boolean, target: Target): Promise<void> {
  await peer.agreed();
  await sendOne(peer, path, recursive, target);
}

async function sendOne(peer: Peer, path: string, recursive: boolean, target: Target): Promise<void> {
  const said = must(await target.run(`stat -L -c '%a %s %F' ${quoted(path)}`), path).toString("utf8");
  const [, mode = "", bytes = "", kind = ""] = /^([0-7]+) (\d+) (.+)$/m.exec(said) ?? [];
  const name = path.replace(/\/+$/, "").split("/").at(-1) ?? "";
  if (kind.startsWith("regular")) return sendFile(peer, { mode, bytes: Number(bytes), name }, path, target);
  if (kind !== "directory") throw new ScpFailure(`${path}: is neither a file nor a directory`);
  if (!recursive) throw new ScpFailure(`${path}: is a directory`);
  await peer.say(Buffer.from(`D${mode.padStart(4, "0")} 0 ${name}\n`));
  await peer.agreed();
  for (const below of await namesIn(path, target)) await sendOne(peer, below, true, target);
  await peer.say(Buffer.from("E\n"));
  await peer.agreed();
}

async function sendFile(
  peer: Peer,
  file: { readonly mode: string; readonly bytes: number; readonly name: string },
  path: string,
  target: Target,
): Promise<void> {
  const reading = await target.start(`cat ${quoted(path)}`);
  reading.stdin.end();
  await peer.say(Buffer.from(`C${file.mode.padStart(4, "0")} ${file.bytes} ${file.name}\n`));
  await peer.agreed();
  let left = file.bytes;
  for await (const chunk of reading.stdout) {
    const some = (chunk as Buffer).subarray(0, left);
    left -= some.length;
    if (some.length > 0) await peer.say(some);
  }
  await reading.code;
  // Who promised more bytes than there are cannot go on.
  if (left > 0) throw new ScpFailure(`${path}: changed while it was read`);
  await peer.say(FINE);
  await peer.agreed();
}

async function namesIn(path: string, target: Target): Promise<readonly string[]> {
  const list = `cd ${quoted(path)} && for name in * .[!.]* ..?*; do [ ! -e "$name" ] || printf '%s\\0' "$name"; done`;
  const names = must(await target.run(list), path)
    .toString("utf8")
    .split("\0");
  return names.filter((name) => name !== "").map((name) => `${path.replace(/\/+$/, "")}/${name}`);
}
