/** Which pools can run what a stage wishes for, by the executors that are there. Pure. */
import type { Presence } from "../../protocol/commands.ts";
import type { RunsOn } from "../../protocol/pipeline/plan.ts";
import type { CommandQueue } from "../../protocol/subjects.ts";

/** The executors of one name that take something new. */
export interface Pool {
  readonly name: string;
  /** What each of them has. */
  readonly labels: readonly string[];
  readonly slots: number;
  readonly planSlots: number;
  readonly busy: number;
}

export function poolsOf(alive: readonly Presence[]): readonly Pool[] {
  const pools = new Map<string, Pool>();
  for (const one of alive) {
    if (one.draining) continue;
    const before = pools.get(one.pool);
    pools.set(one.pool, {
      name: one.pool,
      labels:
        before === undefined ? one.labels.toSorted() : before.labels.filter((label) => one.labels.includes(label)),
      slots: (before?.slots ?? 0) + one.slots,
      planSlots: (before?.planSlots ?? 0) + one.planSlots,
      busy: (before?.busy ?? 0) + Math.min(one.busy, one.slots),
    });
  }
  return [...pools.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Names of the pools that `wish` can be sent to, the idlest first. A pool that is wished for by name alone need not have
 * an executor yet; labels are only known of those that are there.
 */
export function poolsFor(wish: RunsOn, pools: readonly Pool[]): readonly string[] {
  if (wish.pool !== null && wish.labels.length === 0) return [wish.pool];
  return pools
    .filter(({ name, labels }) => (wish.pool === null || wish.pool === name ? hasAll(labels, wish.labels) : false))
    .toSorted((a, b) => b.slots - b.busy - (a.slots - a.busy))
    .map(({ name }) => name);
}

/** How many commands may wait in a pool's queue: one for each slot, so that none is ever idle for want of one. */
export function depthOf(pools: readonly Pool[], name: string, queue: CommandQueue): number {
  const pool = pools.find((one) => one.name === name);
  return Math.max(1, (queue === "plan" ? pool?.planSlots : pool?.slots) ?? 0);
}

/** Why no pool can run it, in one sentence. */
export function whyNowhere(wish: RunsOn, pools: readonly Pool[]): string {
  const wanted = `${wish.labels.length === 1 ? "the label" : "the labels"} ${wish.labels.join(", ")}`;
  const whose = wish.pool === null ? "no executor" : `no executor of pool ${wish.pool}`;
  const there = pools.map(({ name, labels }) => `${name} (${labels.length === 0 ? "no labels" : labels.join(", ")})`);
  return `${whose} has ${wanted}; ${there.length === 0 ? "none is there" : `pools: ${there.join(", ")}`}`;
}

function hasAll(labels: readonly string[], wanted: readonly string[]): boolean {
  return wanted.every((one) => labels.includes(one));
}
