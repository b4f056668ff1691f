/** May this executor run the stage that a command is about? If so, it is claimed. */
import { randomUUID } from "node:crypto";
import type { KV } from "@nats-io/kv";
import { crashPoint } from "../kit/crash-points.ts";
import { append, type Jet } from "../kit/jetstream.ts";
import { decode } from "../protocol/codec.ts";
import { type Command, presence } from "../protocol/commands.ts";
import type { StageEvent } from "../protocol/events.ts";
import type { StageId } from "../protocol/ids.ts";
import { bareResult, type ClaimRuling, ruleClaim, type Stage } from "../protocol/stage.ts";
import { PRESENCE_TTL_MS, RUN } from "../protocol/streams.ts";
import { stageRunSubject } from "../protocol/subjects.ts";
import { type Claimed, readStage } from "./holding.ts";

export interface Claimant {
  readonly jet: Jet;
  /** toroid_exec */
  readonly presences: KV;
  /** Id of this executor. */
  readonly self: string;
  /** Do we hold this token ourselves? Surer than our own presence entry, which may be older. */
  readonly holdsToken: (token: number) => boolean;
  /** Were we cut off from the store until a moment ago? */
  readonly wasCutOff: () => boolean;
}

export type Claim =
  | { readonly kind: "claimed"; readonly claimed: Claimed; readonly tookOver: string | null }
  /** Another executor is at it: look again later. */
  | { readonly kind: "held" }
  /** Nothing to do any more. */
  | { readonly kind: "over" };

/**
 * The common case is one append: a command that is delivered for the first time is most likely right, and the store
 * refuses the claim when it is not.
 */
export async function claimStage(c: Claimant, command: Command, isFirstDelivery: boolean): Promise<Claim> {
  const id: StageId = command;
  if (isFirstDelivery) {
    const first = { attempt: command.attempt, purpose: command.purpose, tookOver: null };
    const token = await appendClaim(c, id, first, command.queuedSeq);
    if (token !== null) return claimedBy(command, first, token);
  }
  for (;;) {
    const { stage, lastSeq } = await readStage(c.jet, id);
    const ruling = ruleClaim(stage, command.queuedSeq, await isHeld(c, stage));
    switch (ruling.kind) {
      case "stale":
        return { kind: "over" };
      case "held":
        return { kind: "held" };
      case "claim": {
        const token = await appendClaim(c, id, ruling, lastSeq);
        if (token !== null) return claimedBy(command, ruling, token);
        break;
      }
      case "give-up": {
        const result = bareResult(ruling.outcome, ruling.message);
        const finished: StageEvent = { type: "finished", id: randomUUID(), atMs: c.jet.clock.nowMs(), result };
        const appended = await append(c.jet, RUN.name, stageRunSubject(id), finished, lastSeq);
        if (appended.kind !== "appended") break;
        crashPoint("executor-after-give-up");
        return { kind: "over" };
      }
    }
    // Somebody was faster: what they wrote decides anew.
  }
}

type Wanted = Pick<Extract<ClaimRuling, { kind: "claim" }>, "attempt" | "purpose" | "tookOver">;

function claimedBy(command: Command, { attempt, purpose, tookOver }: Wanted, token: number): Claim {
  return { kind: "claimed", claimed: { id: command, work: command.work, attempt, purpose, token }, tookOver };
}

async function appendClaim(
  c: Claimant,
  id: StageId,
  { attempt, purpose, tookOver }: Wanted,
  expectedSeq: number,
): Promise<number | null> {
  const event: StageEvent = {
    type: "claimed",
    id: randomUUID(),
    atMs: c.jet.clock.nowMs(),
    executor: c.self,
    attempt,
    purpose,
    tookOver,
  };
  const appended = await append(c.jet, RUN.name, stageRunSubject(id), event, expectedSeq);
  return appended.kind === "appended" ? appended.seq : null;
}

/**
 * Is whoever claimed the stage alive, and does it not deny that it holds it? What an executor said before, or shortly
 * after, it claimed a stage is no denial: it cannot have known of it. Both times are the server's.
 */
async function isHeld(c: Claimant, stage: Stage): Promise<boolean> {
  if (stage.executor === null || stage.token === 0) return false;
  if (stage.executor === c.self) return c.holdsToken(stage.token);
  const entry = await c.presences.get(stage.executor);
  // Who could not renew because nobody could is given the time to.
  if (entry === null || entry.operation !== "PUT") return c.wasCutOff();
  if (decode(presence, entry.value).tokens.includes(stage.token)) return true;
  const claim = await c.jet.jsm.direct.getMessage(RUN.name, { seq: stage.token });
  return claim !== null && entry.created.getTime() < claim.time.getTime() + PRESENCE_TTL_MS;
}
