import type { BuildSummary } from "../../protocol/summary.ts";
import type { BuildFilter } from "./location.ts";

/** What `state` of a filter may be, and what people call it. */
export const BUILD_STATES: readonly (readonly [string, string])[] = [
  ["active", "running"],
  ["passed", "passed"],
  ["failed", "failed"],
  ["cancelled", "cancelled"],
  ["superseded", "superseded"],
  ["skipped", "skipped"],
];

/** The name alone of `Ada Example <ada@example.com>`. */
export function personOf(author: string): string {
  return author.replace(/ <[^<>]*>$/, "");
}

/** Those that the filter lets through, by the coordinator's rules: events tell of others, too. */
export function matching(builds: readonly BuildSummary[], filter: BuildFilter): readonly BuildSummary[] {
  const { branch = null, state = null, author = null } = filter;
  return builds.filter(
    (one) =>
      (branch === null || one.branch === branch) &&
      (state === null || (one.status === "finished" ? (one.outcome ?? "failed") : "active") === state) &&
      (author === null || personOf(one.author).toLowerCase() === personOf(author).toLowerCase()),
  );
}
