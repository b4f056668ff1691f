/**
 * A repository accepts pushes and requests, each once, and numbers them: identity and build number in one append, so
 * numbers have no gaps and no repeats, whoever asks and however often.
 */
import { type PushEvent, pushEvent } from "../../protocol/events.ts";
import { PUSH } from "../../protocol/streams.ts";
import { pushSubject } from "../../protocol/subjects.ts";
import { isBranchPush, type Push, type Remote } from "../../protocol/work.ts";
import { type Actor, append, nothing } from "./actor.ts";

export interface Repository {
  readonly lastNumber: number;
  /** Identity of everything accepted that the stream still holds → its number. */
  readonly accepted: ReadonlyMap<string, number>;
  /** The newest pushes of each branch, oldest first. */
  readonly pushes: ReadonlyMap<string, readonly number[]>;
  readonly remote: Remote | null;
  readonly defaultBranch: string | null;
}

export interface Accept {
  readonly kind: "accept";
  readonly key: string;
  readonly push: Push;
  readonly by: string;
}

/** More of one branch are never waiting at once, unless hardly anything was planned since. */
const PUSHES_KEPT = 64;

/** Shared and growing like `accepted`; the same event again changes nothing. */
function withPush(known: Repository["pushes"], { push, number }: PushEvent): Repository["pushes"] {
  if (!isBranchPush(push)) return known;
  const pushes = known instanceof Map && known.size > 0 ? known : new Map<string, readonly number[]>();
  const numbers = pushes.get(push.ref) ?? [];
  if ((numbers.at(-1) ?? 0) < number) pushes.set(push.ref, [...numbers, number].slice(-PUSHES_KEPT));
  return pushes;
}

export const repositoryActor: Actor<string, Repository, PushEvent, Accept> = {
  noun: "repository",
  stream: PUSH.name,
  schema: pushEvent,
  initial: { lastNumber: 0, accepted: new Map(), pushes: new Map(), remote: null, defaultBranch: null },
  subjectOf: pushSubject,

  apply(state, event) {
    // The map is shared by successive states on purpose: it only ever grows, and copying it would make a fold quadratic.
    const accepted = state.accepted instanceof Map ? state.accepted : new Map(state.accepted);
    const next = accepted.size === 0 ? new Map<string, number>() : accepted;
    next.set(event.key, event.number);
    return {
      lastNumber: event.number,
      accepted: next,
      pushes: withPush(state.pushes, event),
      remote: event.push.remote,
      defaultBranch: event.push.defaultBranch ?? state.defaultBranch,
    };
  },

  decide(state, command, head) {
    if (state.accepted.has(command.key)) return nothing();
    const { key, push, by } = command;
    return append({ type: "accepted", ...head, number: state.lastNumber + 1, key, push, by });
  },
};
