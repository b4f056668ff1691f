/**
 * A repository accepts pushes and requests, each once, and numbers them: identity and build number in one append, so
 * numbers have no gaps and no repeats, whoever asks and however often.
 */
import { type PushEvent, pushEvent } from "../../protocol/events.ts";
import { PUSH } from "../../protocol/streams.ts";
import { pushSubject } from "../../protocol/subjects.ts";
import { isBranchPush, type Push, type Remote, shortOf } from "../../protocol/work.ts";
import { type Actor, append, nothing } from "./actor.ts";

export interface Repository {
  readonly lastNumber: number;
  /** When it was accepted. */
  readonly lastAtMs: number;
  /** Identity of what was accepted → its number and sequence: the newest {@link ACCEPTED_KEPT}, oldest first. */
  readonly accepted: ReadonlyMap<string, { readonly number: number; readonly seq: number }>;
  /** The newest pushes of each branch, in the order of acceptance. */
  readonly pushes: ReadonlyMap<string, readonly Pushed[]>;
  readonly remote: Remote | null;
  readonly defaultBranch: string | null;
}

/** A push of a branch, with short names of what it moved the branch from and to. */
export interface Pushed {
  readonly number: number;
  readonly before: string | null;
  readonly commit: string;
}

export interface Accept {
  readonly kind: "accept";
  readonly key: string;
  readonly push: Push;
  readonly by: string;
}

/**
 * What comes again after so many others is taken for something new. A queue delivers again within minutes, two weeks at
 * most; the bound is what keeps a repository of a million builds as quick to load as one of a thousand.
 */
export const ACCEPTED_KEPT = 2_000;
/** What is left in the state of one event, a key and two numbers. */
const REMEMBERED_BYTES = 50;
/** More of one branch are never waiting at once, unless hardly anything was planned since. */
const PUSHES_KEPT = 64;
/** Branches of which pushes are remembered: those that were pushed to last. */
const BRANCHES_KEPT = 500;

/** Shared like `accepted`; the same event again changes nothing. */
function withPush(known: Repository["pushes"], { push, number }: PushEvent): Repository["pushes"] {
  if (!isBranchPush(push)) return known;
  const pushes = known instanceof Map && known.size > 0 ? known : new Map<string, readonly Pushed[]>();
  const ofRef = pushes.get(push.ref) ?? [];
  if ((ofRef.at(-1)?.number ?? 0) >= number) return pushes;
  const before = push.before === null ? null : shortOf(push.before);
  pushes.delete(push.ref);
  pushes.set(push.ref, [...ofRef, { number, before, commit: shortOf(push.commit) }].slice(-PUSHES_KEPT));
  dropOldest(pushes, BRANCHES_KEPT);
  return pushes;
}

function dropOldest(known: Map<string, unknown>, most: number): void {
  for (const key of known.keys()) {
    if (known.size <= most) return;
    known.delete(key);
  }
}

/** So many at most are told of what a branch became after a push that came late. */
const AFTER_KEPT = 8;

/**
 * What the forge has said already that the branch became after `push`. One that came back to where the branch had been
 * is not late: its commit was pushed before, or it says itself that what it moved the branch from came after.
 */
function afterOf({ pushes }: Repository, push: Push): readonly string[] {
  if (!isBranchPush(push)) return [];
  const known = pushes.get(push.ref) ?? [];
  const path = [shortOf(push.commit)];
  if (known.some(({ commit }) => commit === path[0])) return [];
  while (path.length <= AFTER_KEPT) {
    const next = known.find(({ before, commit }) => before === path.at(-1) && !path.includes(commit));
    if (next === undefined) break;
    path.push(next.commit);
  }
  const cameBack = push.before !== null && path.includes(shortOf(push.before));
  return cameBack ? [] : path.slice(1);
}

/** The oldest that is remembered of what was accepted. */
function sinceOf({ accepted }: Repository): number {
  for (const { seq } of accepted.values()) return seq;
  return 0;
}

export const repositoryActor: Actor<string, Repository, PushEvent, Accept> = {
  noun: "repository",
  stream: PUSH.name,
  schema: pushEvent,
  initial: { lastNumber: 0, lastAtMs: 0, accepted: new Map(), pushes: new Map(), remote: null, defaultBranch: null },
  subjectOf: pushSubject,

  since: ({ since }) => since,
  sizeOf: ({ accepted, pushes }) => (accepted.size + pushes.size) * REMEMBERED_BYTES,

  apply(state, event, seq) {
    // The map is shared by successive states on purpose: copying it would make a fold quadratic.
    const accepted = state.accepted instanceof Map ? state.accepted : new Map(state.accepted);
    const next = accepted.size === 0 ? new Map<string, { number: number; seq: number }>() : accepted;
    next.set(event.key, { number: event.number, seq });
    dropOldest(next, ACCEPTED_KEPT);
    return {
      lastNumber: event.number,
      lastAtMs: event.atMs,
      accepted: next,
      pushes: withPush(state.pushes, event),
      remote: event.push.remote,
      defaultBranch: event.push.defaultBranch ?? state.defaultBranch,
    };
  },

  decide(state, command, head) {
    if (state.accepted.has(command.key)) return nothing();
    const { key, push, by } = command;
    // Whichever clock says so: times grow with the numbers, and pages go by them.
    const atMs = Math.max(head.atMs, state.lastAtMs);
    const number = state.lastNumber + 1;
    const [since, after] = [sinceOf(state), [...afterOf(state, push)]];
    return append({ type: "accepted", ...head, atMs, number, key, push, by, since, after });
  },
};
