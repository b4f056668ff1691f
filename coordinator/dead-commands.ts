/**
 * Commands that nobody will get any more: delivered too often, or ended by an executor that could not read them. The
 * stage that waits for one ends with that as its reason; one that somebody holds gets a command again, so that it can
 * be taken over. What is stranded in the queue is taken away. Each stage that ended so has a dead letter.
 */
import { crashPoint } from "../kit/crash-points.ts";
import { deleteSequence, type Jet, readSequence } from "../kit/jetstream.ts";
import type { Logger } from "../kit/log.ts";
import { decode } from "../protocol/codec.ts";
import { type Command, command } from "../protocol/commands.ts";
import { type Advisory, advisory, type DeadCommand, deadCommandOf, STAGE_HEADER } from "../protocol/dead-command.ts";
import { ToroidError } from "../protocol/errors.ts";
import { formatStage, type StageId } from "../protocol/ids.ts";
import type { Stage } from "../protocol/stage.ts";
import { COMMAND, poolOfConsumer } from "../protocol/streams.ts";
import { parseRunSubject, stageRunSubject } from "../protocol/subjects.ts";
import { commandFor, sendCommand } from "./dispatch/command.ts";
import { letterOfStage } from "./letters/content.ts";
import type { Mailboxes } from "./mailboxes.ts";

/** What follows from an advisory of TOROID_DLQ; safe to repeat. */
export async function bury(jet: Jet, actors: Mailboxes, data: Uint8Array, log: Logger): Promise<void> {
  const said = advisoryOf(data);
  const isStranded = said.type === "io.nats.jetstream.advisory.v1.max_deliver";
  const dead = isStranded ? await strandedCommand(jet, said) : deadCommandOf(said.reason ?? "");
  if (dead !== null) await endOf(jet, actors, dead, said, log);
  else if (!isStranded)
    log.error({ reason: said.reason, seq: said.stream_seq }, "a command that is none of ours was ended");
  crashPoint("coordinator-before-bury");
  if (isStranded) await deleteSequence(jet, COMMAND.name, said.stream_seq);
}

function advisoryOf(data: Uint8Array): Advisory {
  try {
    return advisory.parse(JSON.parse(Buffer.from(data).toString("utf8")));
  } catch (cause) {
    throw new ToroidError("TOR_DECODE", "an advisory of the server cannot be read", {}, { cause });
  }
}

async function endOf(jet: Jet, actors: Mailboxes, dead: DeadCommand, said: Advisory, log: Logger): Promise<void> {
  const parsed = parseRunSubject(dead.subject);
  if (parsed.kind !== "stage") return;
  const { id } = parsed;
  const { queuedSeq, why } = dead;
  const { state, changed } = await actors.stage.tell(id, { kind: "undeliverable", queuedSeq, why });
  if (changed) log.error({ stage: formatStage(id), why }, "no executor could take a stage");
  if (endedBy(state, queuedSeq, why)) {
    const { repository, number, stage, round } = id;
    const content = { kind: "stage", repository, number, stage, round } as const;
    const letter = letterOfStage(id, queuedSeq);
    await actors.letter.tell(letter, { kind: "bury", letter, why, content });
  }
  const again = commandOf(id, state, queuedSeq);
  // To the pool that had it before.
  const pool = poolOfConsumer(said.consumer) ?? state.pool;
  if (again !== null) await sendCommand(jet, pool, again, `command-${queuedSeq}-after-${said.stream_seq}`);
}

/** It is this command's end that ended the stage; told from the stage, since this may be done again. */
function endedBy({ queuedSeq: newest, result }: Stage, queuedSeq: number, why: string): boolean {
  return newest === queuedSeq && result !== null && result.message === why;
}

/** For a stage that somebody holds by that command; null when nobody does. */
function commandOf(id: StageId, state: Stage, queuedSeq: number): Command | null {
  const isHeld = state.status === "claimed" || state.status === "running";
  return isHeld && state.queuedSeq === queuedSeq ? commandFor(id, state) : null;
}

/** Which stage a message that was delivered too often is for: its own word, or its header's. Null: none of ours, or gone. */
async function strandedCommand(jet: Jet, { stream_seq: seq, deliveries }: Advisory): Promise<DeadCommand | null> {
  const message = await readSequence(jet, COMMAND.name, seq);
  if (message === null) return null;
  const why = `it was offered to executors ${deliveries} times, and none took it`;
  const named = deadCommandOf(`${message.header.get(STAGE_HEADER)}: ${why}`);
  if (named !== null) return named;
  try {
    const wanted = decode(command, message.data);
    return { subject: stageRunSubject(wanted), queuedSeq: wanted.queuedSeq, why };
  } catch {
    return null;
  }
}
