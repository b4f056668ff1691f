import type { TokenView } from "../../protocol/access.ts";
import { oneLine, table } from "./output.ts";
import { age } from "./time.ts";

export function tokenTable(tokens: readonly TokenView[], nowMs: number): string {
  const rows = tokens.map((t) => [
    t.id,
    oneLine(t.name, 40),
    t.scope,
    oneLine(t.repositories?.join(",") ?? "*", 60),
    oneLine(t.user, 40),
    oneLine(t.by, 40),
    age(t.createdAtMs, nowMs),
    expiry(t, nowMs),
    t.lastUsedAtMs === null ? "never" : age(t.lastUsedAtMs, nowMs),
  ]);
  return table([["ID", "NAME", "SCOPE", "REPOSITORIES", "ACTS AS", "MADE BY", "AGE", "EXPIRES", "USED"], ...rows]);
}

function expiry({ expiresAtMs }: TokenView, nowMs: number): string {
  if (expiresAtMs === null) return "never";
  return expiresAtMs <= nowMs ? "expired" : `in ${age(nowMs, expiresAtMs)}`;
}
