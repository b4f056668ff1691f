/** One run of a storm, as a request to `serve` that somebody cuts short. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, readlink } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../support/until.ts";
import type { Fate } from "./storm-plan.ts";
import { RESOLVER, type StormRig } from "./storm-rig.ts";
import { commandOf } from "./storm-run.ts";

/** Nobody is it: the test, as root, is let in too. */
const CLIENT_UID = "65533";

export interface Serve extends AsyncDisposable {
  readonly pid: number;
  open(): Promise<Socket>;
  /** A request, and all of its answer. */
  ask(...words: readonly string[]): Promise<string>;
  /** Its children that do not wait for a request. */
  busy(): Promise<number>;
}

export async function startServe(rig: StormRig, slots: number): Promise<Serve> {
  const path = join(rig.dir, "socket");
  const words = ["--socket", path, "--client-uid", CLIENT_UID, "--state", rig.state, "--slots", String(slots)];
  words.push("--net", rig.net, "--dns", RESOLVER, "--forward", "--parent-pid", String(process.pid));
  const [file, ...rest] = rig.helper("serve", ...words, ...rig.cgroupOptions);
  const child = spawn(file, rest, { stdio: ["ignore", "pipe", "inherit"], env: { PATH: process.env["PATH"] } });
  const ended = once(child, "exit");
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  await until("serve with a pool", () => said.includes('"event":"ready"') && said.includes('"pool":true'));
  const pid = child.pid ?? 0;
  const open = async (): Promise<Socket> => {
    const socket = connect(path);
    await once(socket, "connect");
    return socket;
  };
  return {
    pid,
    open,
    async ask(...request) {
      const socket = await open();
      socket.write(encode(request));
      return whole(socket);
    },
    async busy() {
      const listener = new RegExp(` (\\d+) ${path}\n`).exec(await readFile(`/proc/${pid}/net/unix`, "utf8"))?.[1];
      assert.ok(listener !== undefined, "serve listens");
      const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).split(" ").filter(Boolean);
      const waits = await Promise.all(children.map((one) => holds(one, `socket:[${listener}]`)));
      return waits.filter((wait) => !wait).length;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** A slot is busy for a moment after somebody hung up or was killed: nobody is there to be told when it is free. */
export async function served(rig: StormRig, serve: Serve, fate: Fate, lane: number, usualMs: number): Promise<void> {
  const said = await until(
    `slot ${lane} to be free`,
    async () => {
      const answer = await oneRun(serve, fate, lane, usualMs);
      return !answer.includes("in use by another run") && { answer };
    },
    { withinMs: 60_000 },
  );
  const uids = /"uidBase":(\d+)/.exec(said.answer)?.[1];
  if (uids !== undefined) rig.hadUids(Number(uids));
  if (fate.end === "itself")
    assert.match(said.answer, /"event":"exit","code":0,[^]*"event":"gone"/, `run ${fate.number}`);
}

/** Answers what it was told. */
async function oneRun(serve: Serve, fate: Fate, lane: number, usualMs: number): Promise<string> {
  const options = ["--image", "host", "--scratch", `run-${fate.number}-${fate.end}`, "--slot", String(lane)];
  const socket = await serve.open();
  let said = "";
  const started = new Promise<number>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const pid = /"event":"started","pid":(\d+)/.exec(said)?.[1];
      if (pid !== undefined) resolve(Number(pid));
    });
  });
  const closed = once(socket, "close");
  /** Undefined when it ended before its command began. */
  const begun = async (): Promise<number | undefined> => {
    const first = await Promise.race([started, closed]);
    return typeof first === "number" ? first : undefined;
  };
  socket.write(encode(["run", ...options, "--network", fate.network, "--", ...commandOf(fate)]));
  const pid = fate.endless && (fate.end === "init" || fate.end === "supervisor") ? await begun() : undefined;
  if (pid !== undefined) process.kill(fate.end === "init" ? pid : await parentOf(pid), "SIGKILL");
  if (fate.end === "caller" || fate.end === "cancel") {
    await sleep(fate.after * usualMs);
    if (fate.end === "caller") socket.destroy();
    else if (socket.writable) socket.write(fate.number % 2 === 0 ? "T" : "K");
  }
  await closed;
  socket.destroy();
  return said;
}

/** One that has ended meanwhile holds nothing. */
async function holds(pid: string, what: string): Promise<boolean> {
  const names = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const open = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => "")));
  return open.includes(what);
}

function encode(words: readonly string[]): Uint8Array {
  const text = Buffer.from(words.map((word) => `${word}\0`).join(""));
  const head = Buffer.alloc(4);
  head.writeUInt32LE(text.length);
  return Buffer.concat([head, text]);
}

async function whole(socket: Socket): Promise<string> {
  let said = "";
  for await (const chunk of socket) said += String(chunk);
  return said;
}

/** The supervisor, of which a client is not told. */
async function parentOf(pid: number): Promise<number> {
  return Number(/^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
}
