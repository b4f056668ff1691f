import type { Me } from "../../protocol/access.ts";

const RANKS = { none: 0, read: 1, operate: 2, admin: 3 } as const;

/** Why somebody may not do what needs this role, for a repository or (null) for all; null: they may, or it is not known. */
export function whyNot(who: Me | null, needs: "operate" | "admin", repository: string | null): string | null {
  if (who === null) return null;
  const there = who.grants.filter(({ repositories }) => repositories === null || isAmong(repository, repositories));
  if (there.some(({ scope }) => RANKS[scope] >= RANKS[needs])) return null;
  return `${who.name} has not the role “${needs}” for ${repository ?? "all repositories"}`;
}

/** Names and patterns as `acme/*`, in any case. */
function isAmong(repository: string | null, patterns: readonly string[]): boolean {
  if (repository === null) return false;
  return patterns.some((pattern) => {
    const parts = pattern.split("*").map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"));
    return new RegExp(`^${parts.join(".*")}$`, "i").test(repository);
  });
}
