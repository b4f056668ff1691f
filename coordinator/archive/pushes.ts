/**
 * Removes old pushes from a repository's log, for which the last one is enough to number the next by; the others tell
 * what came already. Without it, many repositories that hardly anybody pushes to would fill TOROID_PUSH.
 */
import { type Jet, readFirst, readSubject, type Stored } from "../../kit/jetstream.ts";
import { decode } from "../../protocol/codec.ts";
import { pushEvent } from "../../protocol/events.ts";
import { PUSH } from "../../protocol/streams.ts";
import { pushSubject } from "../../protocol/subjects.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;
/** SQS keeps a message for 14 days at most: an older push does not come again. */
const LEAST_KEPT_MS = 15 * DAY_MS;
/** Looked for when the oldest is that much too old, and not for each push that has its birthday. */
const SLACK_MS = DAY_MS;

/** Those of before `beforeMs`, if that is long enough ago. The newest stays in any case. */
export async function trimPushes(
  jet: Jet,
  repository: string,
  beforeMs: number,
  nowMs = jet.clock.nowMs(),
): Promise<void> {
  const subject = pushSubject(repository);
  const limitMs = Math.min(beforeMs, nowMs - LEAST_KEPT_MS);
  const oldest = await readFirst(jet, PUSH.name, subject);
  if (oldest === null || atMsOf(oldest) >= limitMs - SLACK_MS) return;
  const log = await readSubject(jet, PUSH.name, subject, 0);
  const first = log.find((one) => atMsOf(one) >= limitMs) ?? log.at(-1);
  if (first !== undefined) await jet.jsm.streams.purge(PUSH.name, { filter: subject, seq: first.seq });
}

function atMsOf({ data }: Pick<Stored, "data">): number {
  return decode(pushEvent, data).atMs;
}
