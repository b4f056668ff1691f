/** One run of a storm, as a process that somebody kills. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../support/until.ts";
import type { Fate } from "./storm-plan.ts";
import type { StormRig } from "./storm-rig.ts";

const BUSY = "in use by another run";
/** A caller that can be killed without the helper: its child. */
const CALLER = ["sh", "-c", '"$@" & wait', "sh"] as const;

/** A slot is busy for a moment after its helper or its helper's caller was killed: nobody is there to say when it is free. */
export async function alone(rig: StormRig, fate: Fate, lane: number, usualMs: number): Promise<void> {
  const free = `slot ${lane} to be free`;
  const isOver = async (): Promise<boolean> => !(await oneRun(rig, fate, lane, usualMs)).includes(BUSY);
  await until(free, isOver, { withinMs: 60_000 });
}

/** Answers what it said to people. */
async function oneRun(rig: StormRig, fate: Fate, lane: number, usualMs: number): Promise<string> {
  const scratch = join(rig.state, `run-${fate.number}-${fate.end}`);
  await mkdir(scratch, { mode: 0o700 });
  const network =
    fate.network === "none"
      ? ["--network", "none"]
      : ["--network", "full", "--netns", join(rig.net, String(lane)), "--resolver", join(rig.net, "resolv.conf")];
  const options = ["--image", "host", "--scratch", scratch, "--json-status-fd", "3", ...rig.cgroupOptions, ...network];
  options.push("--uid-base", String(rig.uidBase(lane)));
  const command = rig.helper("run", ...options, "--", ...commandOf(fate));
  const [file, ...words] = fate.end === "caller" ? [...CALLER, ...command] : command;
  const child = spawn(file, words, { stdio: ["ignore", "ignore", "pipe", "pipe"], env: { PATH: process.env["PATH"] } });
  const closed = once(child, "close"); // which is when the helper has ended, even if its caller did before
  const said = { status: "", errors: "" };
  const started = new Promise<number>((resolve) => {
    readable(child, 3).on("data", (chunk: Buffer) => {
      said.status += chunk.toString();
      const pid = /"event":"started","pid":(\d+)/.exec(said.status)?.[1];
      if (pid !== undefined) resolve(Number(pid));
    });
  });
  readable(child, 2).on("data", (chunk: Buffer) => (said.errors += chunk.toString()));

  if (fate.end === "init") {
    const first = await Promise.race([started, closed]);
    if (typeof first === "number") process.kill(first, "SIGKILL");
  } else if (fate.end !== "itself") {
    await sleep(fate.after * usualMs);
    child.kill(fate.end === "cancel" ? "SIGTERM" : "SIGKILL");
  }
  await closed;
  const isBusy = said.errors.includes(BUSY);
  if (fate.end === "itself" && !isBusy) assert.deepEqual([child.exitCode, said.errors], [0, ""], `run ${fate.number}`);
  return said.errors;
}

export function commandOf({ endless }: Fate): readonly string[] {
  return endless ? ["sleep", "1000"] : ["true"];
}

function readable(child: ChildProcess, at: 2 | 3): Readable {
  const stream = child.stdio[at];
  assert.ok(stream !== null && stream !== undefined && "read" in stream);
  return stream;
}
