/** Who asks, and what they may do; pure. */
import type { Account } from "../../protocol/access.ts";
import { matches } from "../../protocol/pipeline/glob.ts";

const RANKS = { none: 0, read: 1, operate: 2, admin: 3 } as const;

/** What somebody may do: look; look and act; everything. Each includes those before it. */
export type Scope = keyof typeof RANKS;
/** What a route asks for; `nothing`: it is open to everybody. */
export type Need = "nothing" | Exclude<Scope, "none">;

export interface Grant {
  readonly scope: Scope;
  /** Names of repositories, or patterns (`acme/*`); null: all there are, and what belongs to none. */
  readonly repositories: readonly string[] | null;
}

export interface Rest {
  /** Id of a token or session. */
  readonly on: string;
  /** When it is over by itself; null: never. */
  readonly untilMs: number | null;
}

export interface Principal {
  /** In whose name things are done. */
  readonly name: string;
  /** How that is known, for the record. */
  readonly via: string;
  readonly kind: "local" | "nobody" | "token" | "session";
  /** The token and session that it rests on: streams to them end with any of these. */
  readonly rests: readonly Rest[];
  /** Of GitHub, where they come from there: what they make for themselves goes by it. */
  readonly account: Account | null;
  /** Of each list the widest grant counts, and of those the narrowest: a token is held to itself and to its owner. */
  readonly limits: readonly (readonly Grant[])[];
}

const EVERYTHING: Principal["limits"] = [[{ scope: "admin", repositories: null }]];

/** Somebody at a coordinator without sign-in, who may do everything. */
export function localPrincipal(name: string): Principal {
  return { name, via: "local", kind: "local", rests: [], account: null, limits: EVERYTHING };
}

export const NOBODY: Principal = {
  name: "anonymous",
  via: "nobody",
  kind: "nobody",
  rests: [],
  account: null,
  limits: [[]],
};

/** What they may do with a repository; null: with what belongs to none, or to all. */
export function scopeOn({ limits }: Principal, repository: string | null): Scope {
  return narrowest(limits, ({ repositories }) => {
    if (repositories === null) return true;
    return repository !== null && repositories.some((pattern) => names(pattern, repository));
  });
}

/** What they may do with something at least. */
export function widestScope({ limits }: Principal): Scope {
  return narrowest(limits, () => true);
}

export function reaches(scope: Scope, need: Need): boolean {
  return need === "nothing" || RANKS[scope] >= RANKS[need];
}

/** Which repositories they may read; null: all, and what belongs to none. */
export function readableBy(principal: Principal): ((repository: string) => boolean) | null {
  if (reaches(scopeOn(principal, null), "read")) return null;
  return (repository) => reaches(scopeOn(principal, repository), "read");
}

/** For people to read: what they have, as it was given. */
export function grantsOf({ limits }: Principal): readonly Grant[] {
  return limits[0] ?? [];
}

function narrowest(limits: Principal["limits"], counts: (grant: Grant) => boolean): Scope {
  let least: Scope = "admin";
  for (const grants of limits) {
    let most: Scope = "none";
    for (const grant of grants) if (RANKS[grant.scope] > RANKS[most] && counts(grant)) most = grant.scope;
    if (RANKS[most] < RANKS[least]) least = most;
  }
  return least;
}

/** Names are the same in any case, as they are to forges. */
function names(pattern: string, repository: string): boolean {
  const name = repository.toLowerCase();
  return pattern.includes("*") ? matches(pattern.toLowerCase(), name) : pattern.toLowerCase() === name;
}
