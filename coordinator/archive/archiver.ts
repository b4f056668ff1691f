/**
 * Archives builds that ended long ago: whoever has the lease, in small steps, from the oldest number of each repository
 * on. Two that do it do no harm: `archived` is appended by compare-and-set, what follows from it is a reaction, and how
 * far one came is only remembered to save reading.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { KV } from "@nats-io/kv";
import { z } from "zod";
import { type Jet, readLast } from "../../kit/jetstream.ts";
import type { Lease } from "../../kit/lease.ts";
import type { Logger } from "../../kit/log.ts";
import { decode } from "../../protocol/codec.ts";
import { buildEvent } from "../../protocol/events.ts";
import { type BuildId, escapeToken } from "../../protocol/ids.ts";
import { RUN } from "../../protocol/streams.ts";
import { buildRunSubject } from "../../protocol/subjects.ts";
import type { Mailboxes } from "../mailboxes.ts";
import type { History } from "../projections/history.ts";
import type { Lanes } from "../projections/lanes.ts";
import { trimLanes } from "./lanes.ts";
import {
  type Cursor,
  cursorAfter,
  type Finding,
  FROM_THE_START,
  isPressing,
  type Keeping,
  keepingAfter,
  neededBuilds,
} from "./policy.ts";
import { trimPushes } from "./pushes.ts";

const PASS_MS = 30_000;
const PRESSED_PASS_MS = 5_000;
/** Builds that are looked at before it is asked again whether to go on. */
const STEP = 32;
/** Exceptions that are looked at in each pass. Beyond it waits for them. */
const MOST_KEPT = 1_000;

const cursor = z.object({ next: z.number().int().positive(), kept: z.array(z.number().int().positive()) });

export interface ArchiverParts {
  readonly jet: Jet;
  readonly actors: Mailboxes;
  readonly history: History;
  readonly lanes: Lanes;
  readonly lease: Lease;
  /** toroid_archive */
  readonly cursors: KV;
  /** How long a build is kept after its end; null: for ever. */
  readonly keepBuildsMs: number | null;
  readonly log: Logger;
}

/** Until `stop`. */
export async function runArchiver(parts: ArchiverParts, stop: AbortSignal): Promise<void> {
  const { jet, lease, keepBuildsMs, log } = parts;
  let keeping: Keeping = { keepMs: keepBuildsMs, halvings: 0 };
  while (!stop.aborted) {
    let isPressed = false;
    try {
      if (await lease.holds()) {
        const usedShare = await usedShareOf(jet);
        keeping = keepingAfter(keeping, keepBuildsMs, usedShare);
        if (keeping.halvings > 0) warnPressed(log, usedShare, keeping);
        // First, for it is quick, and without room there no environment goes on.
        const lanesShare = await trimLanes(jet);
        if (isPressing(lanesShare)) warnLanes(log, lanesShare);
        isPressed = keeping.halvings > 0 || isPressing(lanesShare);
        await archivePass(parts, keeping, stop);
      }
    } catch (error) {
      log.warn({ err: error }, "builds could not be archived; tried again");
    }
    const ms = isPressed ? PRESSED_PASS_MS : PASS_MS;
    await delay(ms, undefined, { signal: stop }).catch(() => undefined);
  }
}

function warnPressed(log: Logger, usedShare: number, { keepMs }: Keeping): void {
  const keptHours = keepMs === null ? null : Math.round(keepMs / 3_600_000);
  const facts = { usedPercent: Math.round(usedShare * 100), keptHours };
  log.warn(facts, "TOROID_RUN fills up: builds are archived before their time; raise TOROID_STORE_BYTES");
}

function warnLanes(log: Logger, usedShare: number): void {
  const facts = { usedPercent: Math.round(usedShare * 100) };
  log.warn(facts, "TOROID_LANE fills up, and nothing of it may go: raise TOROID_STORE_BYTES");
}

async function usedShareOf(jet: Jet): Promise<number> {
  const { config, state } = await jet.jsm.streams.info(RUN.name);
  return state.bytes / config.max_bytes;
}

/** Once through all repositories. Answers how many builds it archived. */
export async function archivePass(parts: ArchiverParts, { keepMs }: Keeping, stop: AbortSignal): Promise<number> {
  const { jet, actors, history, lanes, lease, cursors, log } = parts;
  let archived = 0;

  async function pass(repository: string, newest: number, endedByMs: number): Promise<void> {
    const key = escapeToken(repository);
    const stored = await cursors.get(key);
    let at: Cursor = stored?.operation !== "PUT" ? FROM_THE_START : cursor.parse(stored.json());
    let again = at.kept;
    while (!stop.aborted && (await lease.holds())) {
      const needed = neededBuilds(lanes.list(repository));
      const room = at.kept.length < MOST_KEPT ? STEP : 0;
      const next = Array.from({ length: Math.max(0, Math.min(room, newest - at.next + 1)) }, (_, n) => at.next + n);
      const numbers = [...again, ...next];
      const found = new Map<number, Finding>();
      await Promise.all(
        numbers.map(async (number) => {
          const id = { repository, number };
          found.set(number, needed.has(number) ? "kept" : await consider(id, endedByMs));
        }),
      );
      const before = at;
      at = cursorAfter(before, found);
      if (at.next !== before.next || at.kept.length !== before.kept.length) await cursors.put(key, JSON.stringify(at));
      again = [];
      if (next.length === 0 || at.next < before.next + next.length) return;
    }
  }

  async function consider(id: BuildId, endedByMs: number): Promise<Finding> {
    const last = await readLast(jet, RUN.name, buildRunSubject(id));
    const event = last === null ? null : decode(buildEvent, last.data);
    if (event?.type === "archived") return "archived";
    if (event?.type === "finished" && event.atMs <= endedByMs) {
      const { state, changed } = await actors.build.tell(id, { kind: "archive", endedByMs });
      actors.build.forget(id);
      if (changed) archived += 1;
      return state.status === "archived" ? "archived" : "kept";
    }
    const summary = await history.build(id);
    // Its log was removed by hand; or it was only just accepted.
    if (event === null && summary !== null) return summary.status === "finished" ? "archived" : "kept";
    return summary === null || summary.createdAtMs > endedByMs ? "later" : "kept";
  }

  if (keepMs === null) return 0;
  const endedByMs = jet.clock.nowMs() - keepMs;
  for (const { repository, builds } of history.repositories()) {
    if (stop.aborted) break;
    await pass(repository, builds, endedByMs);
    await trimPushes(jet, repository, endedByMs);
  }
  if (archived > 0) log.info({ builds: archived, endedBy: new Date(endedByMs).toISOString() }, "builds archived");
  return archived;
}
