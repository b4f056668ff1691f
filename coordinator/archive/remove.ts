/**
 * Removes what an archived build has in TOROID_RUN, message by message: a purge by subject costs the server a hundred
 * milliseconds of everybody's time in a large stream, a deletion by sequence a tenth of one.
 *
 * Whoever reads in between must find something that is over. So of each stage the newest goes last, since it says that
 * the stage has ended, and the others go from the newest to the oldest, which leaves a beginning of the log before it.
 * Of the build itself `archived` stays for good. Safe to repeat, and to be left off anywhere.
 */
import { deleteSequence, type Jet, readLast, readSubject, type Stored } from "../../kit/jetstream.ts";
import { decode } from "../../protocol/codec.ts";
import { buildEvent } from "../../protocol/events.ts";
import type { BuildId, StageId } from "../../protocol/ids.ts";
import { BUILD, RUN } from "../../protocol/streams.ts";
import { buildRunSubject, stageRunSubject, summarySubject } from "../../protocol/subjects.ts";
import { buildSummary } from "../../protocol/summary.ts";

export async function removeLogs(jet: Jet, id: BuildId, rounds: readonly StageId[]): Promise<void> {
  const subject = buildRunSubject(id);
  const last = await readLast(jet, RUN.name, subject);
  if (last === null || decode(buildEvent, last.data).type !== "archived") return;
  const subjects = new Set([...rounds, ...(await roundsShown(jet, id))].map(stageRunSubject));
  for (const stage of subjects) {
    const [newest, ...others] = (await readSubject(jet, RUN.name, stage, 0)).toReversed();
    await removeAll(jet, others);
    if (newest !== undefined) await removeAll(jet, [newest]);
  }
  // Last, because it is by the build's log that a repeat knows of the stages.
  const log = await readSubject(jet, RUN.name, subject, 0);
  await removeAll(jet, log.filter(({ seq }) => seq < last.seq).toReversed());
}

/** Those that its summary knows, for what a log that is removed in part does not say any more. */
async function roundsShown(jet: Jet, id: BuildId): Promise<readonly StageId[]> {
  const last = await readLast(jet, BUILD.name, summarySubject(id));
  if (last === null) return [];
  return decode(buildSummary, last.data).stages.map(({ name: stage, round }) => ({ ...id, stage, round }));
}

async function removeAll(jet: Jet, stored: readonly Stored[]): Promise<void> {
  for (const { seq } of stored) await deleteSequence(jet, RUN.name, seq);
}
