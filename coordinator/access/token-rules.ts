/** Who may have which token; pure. */
import type { Account, TokenRecord, TokenScope, TokenView } from "../../protocol/access.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { patternProblem } from "../../protocol/pipeline/glob.ts";
import { type Grant, type Principal, reaches, scopeOn, widestScope } from "./principal.ts";
import type { NewToken } from "./tokens.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;
const MOST_DAYS = 366;

export interface TokenWish {
  readonly name: string;
  readonly scope: TokenScope;
  readonly repositories: readonly string[] | null;
  /** null: it never expires. */
  readonly days: number | null;
  /** In whose name it is to act; null: of who makes it. */
  readonly user: string | null;
}

/** @throws {ToroidError} TOR_NOT_ALLOWED, TOR_INVALID_INPUT */
export function newTokenFor(maker: Principal, wish: TokenWish, nowMs: number): NewToken {
  const { name, scope, repositories, days } = wish;
  const user = wish.user ?? maker.name;
  const isAdmin = reaches(scopeOn(maker, null), "admin");
  if (!isAdmin) {
    if (maker.kind === "token") throw notAllowed("a token makes no tokens, unless it is of the scope `admin`");
    if (user !== maker.name) throw notAllowed("only an admin makes tokens that act in the name of others");
    if (!reaches(widestScope(maker), scope)) throw notAllowed(`a token of yours can be no wider than your own role`);
    if (days === null || days > MOST_DAYS) {
      throw notAllowed(`a token of yours expires within ${MOST_DAYS} days; only an admin makes others`);
    }
  }
  for (const repository of repositories ?? []) {
    const problem = problemOf(repository);
    if (problem !== null) throw new ToroidError("TOR_INVALID_INPUT", `${JSON.stringify(repository)}: ${problem}`);
  }
  return {
    name,
    scope,
    user,
    repositories: repositories === null ? null : [...repositories],
    // What it may do follows what its owner may do, also later.
    account: user === maker.name ? maker.account : null,
    expiresAtMs: days === null ? null : nowMs + days * DAY_MS,
  };
}

function problemOf(repository: string): string | null {
  if (!/^[^/\s]+\/[^\s]+$/.test(repository)) return "expected owner/name, or a pattern such as owner/*";
  return patternProblem(repository);
}

/** Their own, or of everybody. */
export function maySeeToken(principal: Principal, { user, by }: Pick<TokenView, "user" | "by">): boolean {
  return reaches(scopeOn(principal, null), "admin") || principal.name === user || principal.name === by;
}

/** The same, but that a token which somebody found takes nothing away. */
export function mayRemoveToken(principal: Principal, token: Pick<TokenView, "user" | "by">): boolean {
  if (principal.kind === "token" && !reaches(scopeOn(principal, null), "admin")) return false;
  return maySeeToken(principal, token);
}

/** Its own limits, and with them those of its owner. */
export function tokenPrincipal(
  { id, name, user, scope, repositories, account, expiresAtMs }: TokenRecord,
  rolesOf: (account: Account) => readonly Grant[],
): Principal {
  const own: readonly Grant[] = [{ scope, repositories }];
  const limits = account === null ? [own] : [own, rolesOf(account)];
  const rests = [{ on: id, untilMs: expiresAtMs }];
  return { name: user, via: `token ${name}`, kind: "token", rests, account, limits };
}

function notAllowed(why: string): ToroidError {
  return new ToroidError("TOR_NOT_ALLOWED", why);
}
