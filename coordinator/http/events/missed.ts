/** What somebody missed who heard of everything up to a position: read from the store, by whichever coordinator. */
import { type Jet, readFrom } from "../../../kit/jetstream.ts";
import { decode } from "../../../protocol/codec.ts";
import { BUILD } from "../../../protocol/streams.ts";
import { buildSummary } from "../../../protocol/summary.ts";
import type { Change } from "./hub.ts";
import type { Position } from "./position.ts";
import type { Sources } from "./sources.ts";

/** Whoever missed more of them had better read afresh. */
const MOST_BUILDS = 1_000;
const EVERY_BUILD = "toroid.build.*.*";

/** Null: it is not known any more, or too much. */
export async function missedSince(jet: Jet, sources: Sources, since: Position): Promise<readonly Change[] | null> {
  const now = sources.position();
  if (since.store !== now.store) return null;
  const { last_seq } = (await jet.jsm.streams.info(BUILD.name)).state;
  // Another coordinator may have told of what we have not heard yet; nobody has of what the store has not.
  if (since.builds > last_seq) return null;
  // The newest of each build is there, and tells the whole.
  const stored = await readFrom(jet, BUILD.name, EVERY_BUILD, since.builds + 1, MOST_BUILDS + 1);
  if (stored.length > MOST_BUILDS) return null;
  const builds = stored.map(({ data }) => sources.build(decode(buildSummary, data)));
  return [
    ...builds,
    ...sources.lanesSince(since.lanes),
    ...sources.lettersSince(since.letters),
    sources.everyExecutor(),
  ];
}
