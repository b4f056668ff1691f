/**
 * What comes late of a build that is archived must not begin any of its logs anew: where nothing is stored, an append
 * that expects nothing succeeds. No build is archived within an hour of its last event, so that events are looked at for
 * this only when they are old: a coordinator held them when it was stopped, or all were away.
 */
import { type Jet, readLast } from "../../kit/jetstream.ts";
import { decode } from "../../protocol/codec.ts";
import { assertNever } from "../../protocol/errors.ts";
import { buildEvent, type LaneEvent } from "../../protocol/events.ts";
import type { BuildId } from "../../protocol/ids.ts";
import { RUN } from "../../protocol/streams.ts";
import { buildRunSubject } from "../../protocol/subjects.ts";
import { LEAST_KEPT_MS } from "./policy.ts";

/** By the server's clock and ours, which may differ by the other half. */
const LATE_MS = LEAST_KEPT_MS / 2;

export function isLate(storedAtMs: number, nowMs: number): boolean {
  return nowMs - storedAtMs > LATE_MS;
}

/** Sequence of the build's `archived` event, or null. Asks the store, whatever is remembered. */
export async function archivedSeq(jet: Jet, id: BuildId): Promise<number | null> {
  const last = await readLast(jet, RUN.name, buildRunSubject(id));
  return last !== null && decode(buildEvent, last.data).type === "archived" ? last.seq : null;
}

/** The build that an event of a lane is about; null: none. */
export function buildOfLaneEvent(repository: string, event: LaneEvent): BuildId | null {
  switch (event.type) {
    case "entered":
    case "admitted":
      return { repository, number: event.entry.number };
    case "withdrawn":
    case "approved":
    case "left":
      return { repository, number: event.number };
    case "released":
    case "paused":
    case "resumed":
      return null;
    default:
      return assertNever(event, "lane event");
  }
}
