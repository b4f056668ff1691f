/** A whole run: pushes and mishaps as planned, then quiet, then what was wrong. */
import { setTimeout as sleep } from "node:timers/promises";
import { faultsIn } from "./check.ts";
import { Fleet, type FleetSettings } from "./fleet.ts";
import { Mishaps } from "./mishaps.ts";
import { type Plan, type PlannedPush, planText } from "./plan.ts";

/** Pushes ahead of what has finished: there is always something to do, and never more than a while's worth. */
const OPEN_MOST = 60;
const COPY_AFTER = 5;

export interface RunSettings extends FleetSettings {
  /** Pushes are spread over so long, and none comes later, however many are left; all as fast as they are taken unless said. */
  readonly forMs?: number;
  readonly quietMs?: number;
  /** When journal and logs are kept; unless it is said, when something was wrong. */
  readonly keep?: "always" | "never";
  readonly say: (line: string) => void;
}

export interface RunResult {
  readonly faults: readonly string[];
  /** Where its journal and logs are kept; null when they are not. */
  readonly kept: string | null;
  readonly told: string;
}

export async function runPlan(plan: Plan, o: RunSettings): Promise<RunResult> {
  o.say(planText(plan));
  const began = performance.now();
  await using fleet = await Fleet.start(plan, o);
  fleet.note(planText(plan));
  const readyMs = performance.now() - began;
  const stop = new AbortController();
  const attending = fleet.operator.attend(stop.signal);
  try {
    const mishaps = new Mishaps(fleet);
    await pushAll(plan, fleet, mishaps, o.forMs ?? 0);
    const pushedMs = performance.now() - began;
    const before = await fleet.quiet(o.quietMs);
    await mishaps.over();
    const restless = before ?? (await fleet.quiet(o.quietMs));
    const quietMs = performance.now() - began;
    stop.abort();
    await attending;
    const ends = await fleet.leave();
    const truth = await fleet.truth();
    const found = faultsIn({ truth, deeds: fleet.world.deeds, pushed: fleet.pushed });
    const faults = [...(restless === null ? [] : [restless]), ...found, ...ends];
    const seconds = [readyMs, pushedMs, quietMs].map((ms) => (ms / 1_000).toFixed(0)).join(", ");
    const told = `${truth.builds.size} builds, ${truth.stages.size} stages; ready, pushed and quiet after ${seconds} s; ${endsOf(fleet)}`;
    const isKept = o.keep === "always" || (faults.length > 0 && o.keep !== "never");
    for (const fault of faults) fleet.note(`FAULT ${fault}`);
    return { faults, told, kept: isKept ? await fleet.keep() : null };
  } finally {
    stop.abort();
    await attending;
  }
}

async function pushAll(plan: Plan, fleet: Fleet, mishaps: Mishaps, forMs: number): Promise<void> {
  const steps = [...plan.steps];
  const messages = messagesOf(plan.pushes);
  const everyMs = forMs / messages.length;
  const began = performance.now();
  for (const [at, push] of messages.entries()) {
    while (fleet.open > OPEN_MOST) await sleep(20);
    if (forMs > 0 && performance.now() - began > forMs) return;
    await sleep(Math.max(0, began + at * everyMs - performance.now()));
    await fleet.push(push);
    const sent = ((at + 1) / messages.length) * plan.pushes.length;
    for (let next = steps[0]; next !== undefined && next.after <= sent; next = steps[0]) {
      steps.shift();
      mishaps.begin(next.mishap);
    }
  }
}

/** In the order in which they are sent: late ones behind those that overtake them, copies after that. */
function messagesOf(pushes: readonly PlannedPush[]): readonly PlannedPush[] {
  return pushes
    .flatMap((push, at) =>
      Array.from({ length: push.copies }, (_, copy) => ({ push, turn: at + push.late + copy * COPY_AFTER })),
    )
    .toSorted((a, b) => a.turn - b.turn)
    .map(({ push }) => push);
}

function endsOf(fleet: Fleet): string {
  const sum = new Map<string, number>();
  for (const { ends } of fleet.members) for (const [how, times] of ends) sum.set(how, (sum.get(how) ?? 0) + times);
  return `processes ended: ${[...sum].map(([how, times]) => `${times} with ${how}`).join(", ")}`;
}
