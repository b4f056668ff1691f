/** Where a commit stands among others, for those who never see the repository. */
import { type History, type Push, shortOf } from "../../protocol/work.ts";
import type { Mirror } from "./mirror.ts";

/** Commits looked at. */
const SEEN = 512;
/** Commits that are told of. */
const ANCESTORS_KEPT = 128;

export async function historyOf(
  mirror: Mirror,
  push: Push,
  at: { readonly ref: string; readonly object: string },
  signal: AbortSignal,
): Promise<History> {
  const listed = await mirror.run(["rev-list", "--parents", `--max-count=${SEEN}`, at.object], signal);
  const commits = listed
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split(" "));
  const commit = commits[0]?.[0] ?? at.object;
  const isBranch = at.ref.startsWith("refs/heads/");
  const isKnown = (other: string): boolean => commits.some(([one]) => one === other);
  const rewinds = isBranch && !isKnown(push.before ?? commit) && (await isBack(mirror, push, commit, signal));
  const tip = isBranch && !rewinds ? await mirror.tip(at.ref) : null;
  const isPast = tip !== null && tip !== commit && (await isIn(mirror, commit, tip, signal));
  return { ancestors: [...nearest(commits)], tip: isPast ? shortOf(tip) : null, rewinds };
}

/**
 * Did the push move its branch from what contains it? Not every forge says that a push was forced; and when what was
 * there before is gone, nobody can tell.
 */
async function isBack(mirror: Mirror, push: Push, commit: string, signal: AbortSignal): Promise<boolean> {
  const { before, created, forced } = push;
  if (before === null || created) return false;
  return (await mirror.has(before, signal)) ? isIn(mirror, commit, before, signal) : forced;
}

async function isIn(mirror: Mirror, commit: string, other: string, signal: AbortSignal): Promise<boolean> {
  const counted = await mirror.run(["rev-list", "--count", "--max-count=1", commit, `^${other}`], signal);
  return counted.trim() === "0";
}

/**
 * What branches stood at lately, before all else: the chain of first parents and what was merged into it, since a long
 * branch that was merged may be all that comes first by date. `commits`: each with its parents, newest first.
 */
export function nearest(commits: readonly (readonly string[])[]): readonly string[] {
  const parentsOf = new Map(commits.map(([commit = "", ...parents]) => [commit, parents]));
  const own = commits[0]?.[0] ?? "";
  const found = new Set<string>();
  for (let at: string | undefined = own; at !== undefined && found.size < ANCESTORS_KEPT / 2; ) {
    const parents: readonly string[] = parentsOf.get(at) ?? [];
    for (const parent of parents) found.add(shortOf(parent));
    at = parents[0];
  }
  for (const [commit = ""] of commits) if (commit !== own) found.add(shortOf(commit));
  return [...found].slice(0, ANCESTORS_KEPT);
}
