/** Takes commands from a pool's queue, one for each free slot, and sees each through. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Consumer, JsMsg } from "@nats-io/jetstream";
import { crashPoint } from "../kit/crash-points.ts";
import type { Logger } from "../kit/log.ts";
import { backoffMs } from "../kit/retry.ts";
import { decode } from "../protocol/codec.ts";
import { type Command, command } from "../protocol/commands.ts";
import { reasonOf, STAGE_HEADER } from "../protocol/dead-command.ts";
import { dispositionOf, sentenceOf } from "../protocol/errors.ts";
import { formatStage } from "../protocol/ids.ts";
import type { AttemptEnd } from "./attempt.ts";
import { type Claim, type Claimant, claimStage } from "./claim.ts";
import type { Gate } from "./gate.ts";
import { Holding } from "./holding.ts";
import type { PresenceBeat } from "./presence.ts";
import type { Slot } from "./workspace.ts";

/** How long one request for a command stays open at the server. */
const PULL_MS = 30_000;
/** When to look again at a stage that another executor holds. */
const HELD_DELAY_MS = 1_000;
/** How long nothing is asked for after a command that we do not understand. Each time it is delivered is counted. */
const OUTDATED_MS = 30_000;

export interface WorkerTools {
  readonly consumer: () => Promise<Consumer>;
  readonly claimant: Claimant;
  readonly presence: PresenceBeat;
  readonly gate: Gate;
  /** Sees a claimed attempt through, to its report. */
  readonly run: (holding: Holding, slot: Slot | null, log: Logger) => Promise<AttemptEnd>;
  readonly log: Logger;
}

/**
 * Serves one slot until `stop`, then finishes what it holds. At most one command is asked for at a time, and only when
 * the slot is free: nothing waits at an executor while another has room.
 *
 * @param slot null for the queue of plans
 */
export async function serveSlot(
  slot: Slot | null,
  t: WorkerTools,
  stop: AbortSignal,
  hard: AbortSignal,
): Promise<void> {
  for (let failures = 0; !stop.aborted; ) {
    try {
      await t.gate.pass(stop);
      const message = await nextCommand(await t.consumer(), AbortSignal.any([stop, t.gate.shutting]));
      failures = 0;
      if (message !== null) await handle(message, slot, t, hard);
    } catch (error) {
      failures += 1;
      const waitMs = backoffMs(failures, 100, 5_000, Math.random());
      t.log.warn({ err: error, waitMs }, "no command could be taken");
      await sleep(waitMs, undefined, { signal: stop }).catch(() => undefined);
    }
  }
}

/** The next command, or null when none came in time or `stop` aborted. */
async function nextCommand(consumer: Consumer, stop: AbortSignal): Promise<JsMsg | null> {
  const messages = await consumer.fetch({ max_messages: 1, expires: PULL_MS, bind: true });
  const close = (): void => messages.stop();
  stop.addEventListener("abort", close, { once: true });
  try {
    if (stop.aborted) close();
    for await (const message of messages) return message;
    return null;
  } finally {
    stop.removeEventListener("abort", close);
  }
}

/** A command that could not be ruled on is given back soon, and not only when its time is up. */
async function claimOrGiveBack(message: JsMsg, wanted: Command, t: WorkerTools): Promise<Claim> {
  try {
    await t.presence.ensureFresh();
    return await claimStage(t.claimant, wanted, message.info.deliveryCount === 1);
  } catch (error) {
    message.nak(HELD_DELAY_MS);
    throw error;
  }
}

async function handle(message: JsMsg, slot: Slot | null, t: WorkerTools, hard: AbortSignal): Promise<void> {
  let wanted: Command;
  try {
    wanted = decode(command, message.data);
  } catch (error) {
    t.log.error({ err: error, subject: message.subject, seq: message.seq }, "command not readable");
    // Of a newer version: for an executor that is newer, too.
    if (dispositionOf(error) === "retry") {
      message.nak(HELD_DELAY_MS);
      t.gate.shut("outdated", sentenceOf(error));
      setTimeout(() => t.gate.open("outdated"), OUTDATED_MS).unref();
    } else message.term(reasonOf(message.headers?.get(STAGE_HEADER) ?? "", sentenceOf(error)));
    return;
  }
  crashPoint("executor-before-claim");
  const claim = await claimOrGiveBack(message, wanted, t);
  switch (claim.kind) {
    case "held":
      message.nak(HELD_DELAY_MS);
      return;
    case "over":
      await message.ackAck();
      return;
    case "claimed":
      break;
  }
  crashPoint("executor-after-claim");
  const { claimed, tookOver } = claim;
  const log = t.log.child({ stage: formatStage(claimed.id), attempt: claimed.attempt, token: claimed.token });
  log.info({ tookOver }, "stage claimed");
  const holding = new Holding(t.claimant.jet, claimed);
  t.presence.add({ holding, working: () => message.working() });
  const stopIt = (): void => holding.abandon("stopped");
  hard.addEventListener("abort", stopIt, { once: true });
  try {
    if (hard.aborted) stopIt();
    const end = await t.run(holding, slot, log);
    // An abandoned attempt's command belongs to whoever takes the stage over.
    if (end === "reported") await message.ackAck();
    else if (holding.whyAbandoned === "stopped") message.nak();
  } finally {
    hard.removeEventListener("abort", stopIt);
    t.presence.remove(holding);
  }
}
