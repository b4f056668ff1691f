/** Carries out what `reactions.ts` lists. Each effect is safe to repeat. */
import { createHash } from "node:crypto";
import type { Handled } from "../kit/consume.ts";
import { crashPoint } from "../kit/crash-points.ts";
import type { Jet } from "../kit/jetstream.ts";
import type { Logger } from "../kit/log.ts";
import { announce } from "../protocol/announcements.ts";
import { encode, isTooLarge } from "../protocol/codec.ts";
import type { CancelSignal, Command } from "../protocol/commands.ts";
import { assertNever, sentenceOf, ToroidError } from "../protocol/errors.ts";
import { type BuildId, formatStage } from "../protocol/ids.ts";
import type { Stage } from "../protocol/stage.ts";
import { CANCEL_SIGNAL } from "../protocol/subjects.ts";
import type { Work } from "../protocol/work.ts";
import { accept } from "./accept.ts";
import { supersededWhy } from "./actors/build/verdict.ts";
import { standingOf, workOf } from "./actors/build/work.ts";
import { overtakes } from "./actors/order.ts";
import { admitNext, type Guard } from "./admission.ts";
import { removeLogs } from "./archive/remove.ts";
import type { Mailboxes } from "./mailboxes.ts";
import type { Told } from "./projections/events.ts";
import { makeSummaryWriter, type Pace, restAfter } from "./projections/summary-writer.ts";
import { setTimer } from "./projections/timers.ts";
import type { Effect, Settings } from "./reactions.ts";

export interface Effects {
  /**
   * Resolves when actors are told and commands are out, which later events may rely on; `rest` of what it answers, when
   * summaries and people are told too. Either rejects when something could not be done, so that the event is delivered
   * again.
   */
  perform(effects: readonly Effect[], told: readonly Told[], eventId: string): Promise<Handled>;
}

/** Sees to it that a queued stage's command reaches an executor, sooner or later. `pool`: empty for any that can. */
export type Offer = (pool: string, command: Command) => Promise<void>;

export function makeEffects(
  jet: Jet,
  actors: Mailboxes,
  offer: Offer,
  settings: Settings,
  log: Logger,
  pace: Pace = restAfter,
  guard: Guard | null = null,
): Effects {
  const summaries = makeSummaryWriter(jet, actors, pace);

  async function perform(effect: Effect, eventId: string): Promise<void> {
    switch (effect.kind) {
      case "tell-build":
        if (effect.command.kind === "request") return request(effect, eventId);
        await actors.build.tell(effect.id, effect.command);
        return undefined;
      case "tell-stage":
        await actors.stage.tell(effect.id, effect.command);
        return undefined;
      case "tell-lane":
        if (effect.command.kind === "admit") return admitNext(actors, effect.id, guard);
        await actors.environment.tell(effect.id, effect.command);
        if (effect.command.kind === "leave") crashPoint("coordinator-after-leave");
        return undefined;
      case "queue-stage":
        return queueStage(effect);
      case "dispatch":
        crashPoint("coordinator-before-dispatch");
        await offer(effect.pool, effect.command);
        crashPoint("coordinator-after-dispatch");
        return undefined;
      case "signal-cancel": {
        const { repository, number, stage, round } = effect.id;
        const signal: CancelSignal = { repository, number, stage, round };
        jet.nc.publish(CANCEL_SIGNAL, encode(signal));
        return undefined;
      }
      case "set-timer":
        return setTimer(jet, effect.id, effect.dueAtMs, effect.stageSeq);
      case "supersede-older":
        return supersedeOlder(effect);
      case "trigger":
        return trigger(effect, eventId);
      case "remove-logs":
        await removeLogs(jet, effect.id, effect.rounds);
        // Nobody asks for it soon, and others are asked for.
        actors.build.forget(effect.id);
        return undefined;
      case "summarize-build":
        return summaries.build(effect.id);
      case "summarize-stage":
        return summaries.stage(effect.id);
      default:
        return assertNever(effect, "effect");
    }
  }

  /** The lane or the plan let a round go; the stage's own log is what keeps it from running twice. */
  async function queueStage(effect: Extract<Effect, { kind: "queue-stage" }>): Promise<void> {
    const { id, lane } = effect;
    if (lane !== null) crashPoint("coordinator-after-admitted");
    // Every end of a stage says again what may run: most of it is known to be under way.
    const known = actors.stage.known(id)?.state;
    const { result } = known === undefined || known.status === "absent" ? await queueNow(effect) : known;
    if (lane !== null && result !== null) {
      // It had ended before the lane let it go: cancelled while it waited, say. The lane must not wait for it.
      const { number, stage: name, round } = id;
      await actors.environment.tell(
        { repository: id.repository, environment: lane.environment },
        { kind: "leave", number, stage: name, round, outcome: result.outcome, artifact: null },
      );
    }
  }

  async function queueNow({ id, lane }: Extract<Effect, { kind: "queue-stage" }>): Promise<Stage> {
    const build = (await actors.build.load({ repository: id.repository, number: id.number })).state;
    const stage = build.plan?.stages.find((one) => one.name === id.stage);
    const work = stage === undefined ? null : workOf(build, { stage, round: id.round }, lane);
    if (work === null) throw new ToroidError("TOR_INTERNAL", `${formatStage(id)} is not in the plan of its build`);
    const close = (outcome: "cancelled" | "errored", why: string) => ({ kind: "close", outcome, why }) as const;
    if (build.cancel !== null) return (await actors.stage.tell(id, close("cancelled", build.cancel.why))).state;
    if (build.supersededBy !== null && lane === null) {
      return (await actors.stage.tell(id, close("cancelled", supersededWhy(build.supersededBy)))).state;
    }
    try {
      return (await actors.stage.tell(id, { kind: "queue", work, pool: poolOf(work, settings) })).state;
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      const why = `what it would have to be told, outputs of earlier stages included, is too much: ${sentenceOf(error)}`;
      return (await actors.stage.tell(id, close("errored", why))).state;
    }
  }

  /** A script may ask for what cannot be; that is said to people, and is no reason to try again. */
  async function request(effect: Extract<Effect, { kind: "tell-build" }>, eventId: string): Promise<void> {
    try {
      await actors.build.tell(effect.id, effect.command);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      await refused(effect.id, eventId, error);
    }
  }

  async function trigger(effect: Extract<Effect, { kind: "trigger" }>, eventId: string): Promise<void> {
    const { by, key, request: asked } = effect;
    const from = { repository: by.repository, number: by.number };
    const known = (await actors.repository.load(asked.repository)).state;
    const owner = (name: string): string => name.split("/")[0] ?? "";
    if (known.remote === null || owner(asked.repository) !== owner(by.repository)) {
      const why =
        known.remote === null
          ? `nothing was ever pushed from ${asked.repository}, so it is not known where it is`
          : `${asked.repository} belongs to another owner and does not accept requests of ${by.repository}`;
      await refused(from, eventId, new ToroidError("TOR_CONFLICT", why));
      return;
    }
    const hash = createHash("sha256").update(key).digest("hex");
    const { repository, ref, params } = asked;
    const wanted = { what: "build", repository, ref, remote: known.remote, params } as const;
    await accept(actors, { kind: "request", key: `queue-${hash}`, request: wanted }, formatStage(by));
  }

  /**
   * The list of what was pushed is read afresh; a build of it that is not created yet is told when it is. Of two, the
   * one that is planned last meets the other as it is: whichever is older hears of it then.
   */
  async function supersedeOlder({ id, by }: Extract<Effect, { kind: "supersede-older" }>): Promise<void> {
    const { repository } = id;
    const { pushes } = (await actors.repository.load(repository)).state;
    const others = (pushes.get(by.ref) ?? []).map(({ number }) => number).filter((number) => number !== by.number);
    await Promise.all(
      others.map(async (number) => {
        const command = { kind: "supersede", number, by } as const;
        const { state } = await actors.build.tell({ repository, number }, command);
        const other = state.plan?.cancelSuperseded === true ? standingOf(number, state) : null;
        if (other === null || !overtakes(by, other)) return;
        await actors.build.tell(id, { kind: "supersede", number: by.number, by: other });
      }),
    );
  }

  async function refused(id: BuildId, eventId: string, error: unknown): Promise<void> {
    log.warn({ err: error, repository: id.repository, build: id.number }, "a script's request was refused");
    const at = { repository: id.repository, build: id.number, environment: null };
    const data = { why: sentenceOf(error) };
    await publish(
      announce({ subject: "stage", predicate: "refused" }, at, `${eventId}-refused`, jet.clock.nowMs(), data),
    );
  }

  async function publish(told: Told): Promise<void> {
    await jet.js.publish(told.subject, JSON.stringify(told.event), { msgID: told.event.id });
  }

  return {
    async perform(effects, told, eventId) {
      // Actors are told in order, since a request must come before what it alters; the rest has no order, and stages
      // that are queued one after the other are queued at once.
      const isTell = (effect: Effect): boolean => effect.kind.startsWith("tell-") || effect.kind === "queue-stage";
      const inOrder = async (): Promise<void> => {
        for (const together of runsOf(effects.filter(isTell)))
          await Promise.all(together.map((effect) => perform(effect, eventId)));
      };
      const isShown = (effect: Effect): boolean => effect.kind.startsWith("summarize-");
      const shown = effects.filter(isShown).map((effect) => perform(effect, eventId));
      const rest = Promise.all([...shown, ...told.map(publish)]);
      rest.catch(() => undefined); // whoever acknowledges hears of it
      const others = effects.filter((effect) => !isTell(effect) && !isShown(effect));
      await Promise.all([inOrder(), ...others.map((effect) => perform(effect, eventId))]);
      return { rest };
    },
  };
}

/** Where a stage is sent that names no pool: to the usual one, unless it wishes for labels. */
function poolOf(work: Work, { pool }: Settings): string {
  if (work.kind === "plan") return pool;
  const { runsOn } = work.stage;
  return runsOn.pool ?? (runsOn.labels.length > 0 ? "" : pool);
}

/** At most so many stages are queued at once. */
const QUEUED_AT_ONCE = 64;

/** The effects in order, with neighbours that only queue stages taken together. */
function runsOf(effects: readonly Effect[]): readonly (readonly Effect[])[] {
  const runs: Effect[][] = [];
  for (const effect of effects) {
    const last = runs.at(-1);
    const joins = effect.kind === "queue-stage" && last?.[0]?.kind === "queue-stage" && last.length < QUEUED_AT_ONCE;
    if (joins) last.push(effect);
    else runs.push([effect]);
  }
  return runs;
}

/** For good: what lost a race, or came too early, is tried again. */
function isRefusal(error: unknown): boolean {
  return error instanceof ToroidError && ["TOR_NOT_FOUND", "TOR_REFUSED", "TOR_ARCHIVED"].includes(error.code);
}
