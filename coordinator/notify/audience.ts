/** Who is told of a notice, and in which lane of theirs; pure. */
import { createHash } from "node:crypto";
import type { Channel, Delivery } from "../../protocol/delivery.ts";
import { EVERY, escapeToken } from "../../protocol/ids.ts";
import type { Notice } from "../../protocol/notice.ts";
import { selects } from "../../protocol/pipeline/glob.ts";
import type { Note } from "./notices.ts";
import { isBad } from "./notices.ts";
import { GITHUB, type GithubSettings, type NotifySettings, type Target } from "./settings.ts";
import { headline } from "./words.ts";

/** A delivery that is to be made, unless it is there already. */
export type Draft = Pick<Delivery, "id" | "target" | "channel" | "mode" | "order" | "about"> & {
  /** Why it is given up before it is tried; null: it is not. */
  readonly refused: string | null;
};

/** Is it one of which people are told, rather than a forge? */
export function isForPeople({ kind, state }: Notice): boolean {
  if (kind === "paused" || kind === "resumed" || kind === "approval") return true;
  if (kind !== "build" && kind !== "deployment") return false;
  return state === "passed" || state === "cancelled" || isBad(state);
}

export function draftsOf(note: Note, settings: NotifySettings): readonly Draft[] {
  const { notice } = note;
  const forge = settings.github;
  const drafts = forge !== null && isOfForge(notice, forge) ? [githubDraft(note)] : [];
  if (!isForPeople(notice)) return drafts;
  const told = settings.targets
    .filter((target) => isTold(target, note))
    .map((target) => draft(note, target.name, target.channel));
  return [...drafts, ...told, ...refusals(note, settings)];
}

function isTold(target: Target, { notice, wishes }: Note): boolean {
  const wish = wishes.find(({ to }) => to === target.name);
  const asked = wish !== undefined && mayName(target, notice.repository);
  if (asked && wish.branches !== null && !isOnBranch(notice, wish.branches)) return false;
  if (!asked && !isAnyway(target, notice.repository)) return false;
  const on = (asked ? wish.on : null) ?? target.on;
  if (on === "never") return false;
  if (notice.kind !== "build" && notice.kind !== "deployment") return true;
  if (on === "always" || notice.change) return true;
  return notice.kind === "deployment" && notice.rollback && notice.state === "passed";
}

/** A pause of all repositories concerns whoever is told of any. */
function isAnyway(target: Target, repository: string): boolean {
  return repository === EVERY ? target.for.length > 0 : selects(target.for, repository);
}

function mayName(target: Target, repository: string): boolean {
  return selects(target.allow, repository);
}

/** What is not about a branch is not kept from anybody. */
function isOnBranch({ kind, ref }: Notice, branches: readonly string[]): boolean {
  if (kind === "paused" || kind === "resumed") return true;
  return ref.startsWith("refs/heads/") && selects(branches, ref.slice("refs/heads/".length));
}

/** Whom a file names and cannot have told is said once a build, where its operator looks. */
function refusals(note: Note, { targets }: NotifySettings): readonly Draft[] {
  const { notice, wishes } = note;
  if (notice.kind !== "build") return [];
  return wishes.flatMap(({ to }) => {
    const target = targets.find(({ name }) => name === to);
    if (target !== undefined && mayName(target, notice.repository)) return [];
    const why =
      target === undefined
        ? `no target named ${to} is configured (TOROID_NOTIFY)`
        : `${notice.repository} may not name ${to}: its \`allow\` says so (TOROID_NOTIFY)`;
    return [{ ...draft(note, to, "none"), refused: why }];
  });
}

function draft({ notice, key }: Note, target: string, channel: Channel): Draft {
  const { repository, environment, ref, kind } = notice;
  const of = environment === null ? ref : environment;
  return {
    id: idOf(target, `${repository} ${environment === null ? "ref" : "environment"} ${of}`, `${kind} ${key}`),
    target,
    channel,
    mode: "message",
    order: [],
    about: headline(notice),
    refused: null,
  };
}

/** Statuses of one name of a commit take each other's place; a deployment has its own. */
function githubDraft({ notice, order }: Note): Draft {
  const { repository, number, environment, round, kind, commit, stage } = notice;
  const lane =
    kind === "deployment"
      ? `${repository} deployment ${environment ?? ""} ${number ?? 0} ${round}`
      : `${repository} ${commit ?? ""} ${kind} ${stage ?? ""}`;
  return {
    id: `${GITHUB}.${hash(lane)}.${order.join("-")}`,
    target: GITHUB,
    channel: "github",
    mode: "state",
    order: [...order],
    about: headline(notice),
    refused: null,
  };
}

export function isOfForge({ kind, commit, remote, repository }: Notice, forge: GithubSettings): boolean {
  if (kind !== "build" && kind !== "stage" && kind !== "deployment") return false;
  if (commit === null || remote === null || !selects(forge.for, repository)) return false;
  const url = URL.parse(remote);
  // Of another repository than its address says nobody tells anything.
  const path = url?.pathname.replace(/^\/|(\.git)?\/*$/g, "");
  return url?.host === URL.parse(forge.url)?.host && path?.toLowerCase() === repository.toLowerCase();
}

export function idOf(target: string, lane: string, place: string): string {
  return `${escapeToken(target)}.${hash(lane)}.${hash(place)}`;
}

/** A part of an id, and so of a subject. */
function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 20);
}

const ID = /^[A-Za-z0-9_-]{1,200}\.[0-9a-f]{20}\.[0-9a-f-]{1,80}$/;

export function isDeliveryId(text: string): boolean {
  return ID.test(text);
}

/** `<target>.<lane>` of an id. */
export function laneOf(id: string): string {
  return id.slice(0, id.lastIndexOf("."));
}
