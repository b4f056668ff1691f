/** The command that a stage's executor is to get. */
import { enqueue, type Jet } from "../../kit/jetstream.ts";
import { encode } from "../../protocol/codec.ts";
import type { Command } from "../../protocol/commands.ts";
import { STAGE_HEADER, stageHeader } from "../../protocol/dead-command.ts";
import type { StageId } from "../../protocol/ids.ts";
import type { Stage } from "../../protocol/stage.ts";
import { type CommandQueue, commandSubject, stageRunSubject } from "../../protocol/subjects.ts";
import { commandVersionOf } from "../../protocol/versions.ts";
import type { Work } from "../../protocol/work.ts";

/** Null for a stage that was never queued. */
export function commandFor({ repository, number, stage, round }: StageId, state: Stage): Command | null {
  const { queuedSeq, attempt, purpose, work } = state;
  return work === null ? null : { repository, number, stage, round, queuedSeq, attempt, purpose, work };
}

export function queueOf(work: Work): CommandQueue {
  return work.kind === "plan" ? "plan" : "work";
}

/** Puts a command into its pool's queue. `key` makes a repeat of the same one do nothing, for a while. */
export async function sendCommand(jet: Jet, pool: string, wanted: Command, key: string): Promise<number> {
  const header = [STAGE_HEADER, stageHeader(stageRunSubject(wanted), wanted.queuedSeq)] as const;
  const data = encode({ v: commandVersionOf(wanted), ...wanted });
  return enqueue(jet, commandSubject(pool, queueOf(wanted.work), wanted.repository), data, { key, header });
}
