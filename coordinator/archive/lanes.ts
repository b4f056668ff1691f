/**
 * Removes old events of environments while TOROID_LANE fills up. Each message there carries the lane before it, so the
 * newest of a lane is enough to go on from; those before it are for people who look into what happened. A deployment
 * must not wait for room that they take.
 */
import { type Jet, readLast } from "../../kit/jetstream.ts";
import { LANE, LANE_REACTOR } from "../../protocol/streams.ts";
import { trimBelow } from "./policy.ts";

/** The part of TOROID_LANE that is in use, after what may go has gone. Two that trim at once do no harm. */
export async function trimLanes(jet: Jet): Promise<number> {
  const { config, state } = await jet.jsm.streams.info(LANE.name);
  const usedShare = state.bytes / config.max_bytes;
  // What nobody has reacted to yet has still to be delivered.
  const { ack_floor } = await jet.jsm.consumers.info(LANE.name, LANE_REACTOR.name);
  const { messages: all, last_seq: lastSeq } = state;
  const below = trimBelow({ usedShare, messages: all, lastSeq, reactedTo: ack_floor.stream_seq });
  if (below === null) return usedShare;
  const { subjects = {} } = (await jet.jsm.streams.info(LANE.name, { subjects_filter: ">" })).state;
  for (const [subject, messages] of Object.entries(subjects)) {
    if (messages < 2) continue;
    const last = await readLast(jet, LANE.name, subject);
    if (last !== null) await jet.jsm.streams.purge(LANE.name, { filter: subject, seq: Math.min(below, last.seq) });
  }
  return (await jet.jsm.streams.info(LANE.name)).state.bytes / config.max_bytes;
}
