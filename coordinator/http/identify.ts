/** Who asks a coordinator with sign-in, by what a request brings: a token, or the cookie of a session. */
import type { FastifyRequest } from "fastify";
import type { Account, SessionRecord, TokenRecord } from "../../protocol/access.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { type Grant, NOBODY, type Principal, type Rest } from "../access/principal.ts";
import { type Role, rolesOf } from "../access/roles.ts";
import { type Sessions, sessionIdOf } from "../access/sessions.ts";
import { tokenPrincipal } from "../access/token-rules.ts";
import type { Tokens } from "../access/tokens.ts";
import type { Identify } from "./access.ts";
import type { Cookies } from "./cookies.ts";
import { refuseForged } from "./csrf.ts";
import type { Limits } from "./limits.ts";

export interface Credentials {
  readonly tokens: Tokens;
  readonly sessions: Sessions;
  readonly roles: readonly Role[];
  readonly cookies: Cookies;
}

export function identifyBy({ tokens, sessions, roles, cookies }: Credentials, limits: Limits): Identify {
  const byToken = (record: TokenRecord): Principal => tokenPrincipal(record, (account) => rolesOf(roles, account));

  /** With the cookie of a session that is over one is nobody, and may sign in again. */
  function bySession(cookie: string, record: SessionRecord | null): Principal | Promise<Principal> {
    if (record === null) return NOBODY;
    const rests = { on: sessionIdOf(cookie), untilMs: record.expiresAtMs };
    const { account, token } = record;
    if (account !== null) return accountPrincipal(account, rolesOf(roles, account), [rests]);
    if (token === null) return NOBODY;
    return tokenSession(token, rests).catch((error: unknown) => {
      if (error instanceof ToroidError && error.code === "TOR_SIGNED_OUT") return NOBODY;
      throw error;
    });
  }

  async function tokenSession(token: string, rests: Rest): Promise<Principal> {
    const principal = byToken(await tokens.stillValid(token));
    const { rests: also } = principal;
    return { ...principal, via: `session by ${principal.via}`, rests: [rests, ...also] };
  }

  /** Whoever was wrong too often is not even looked up; whose token was right before is, from the same address too. */
  async function byNewToken(request: FastifyRequest, secret: string): Promise<Principal> {
    if (!tokens.isFamiliar(secret)) limits.refuseFailing(request);
    try {
      return byToken(await tokens.verify(secret));
    } catch (error) {
      if (error instanceof ToroidError && error.code === "TOR_SIGNED_OUT") await limits.failed(request);
      throw error;
    }
  }

  return (request) => {
    const secret = bearerOf(request);
    if (secret !== null) {
      const known = tokens.peek(secret);
      return known === null ? byNewToken(request, secret) : byToken(known);
    }
    const cookie = cookies.read(request, "session");
    if (cookie === null) return NOBODY;
    const session = sessions.find(cookie);
    if (!(session instanceof Promise)) {
      if (session !== null) refuseForged(request);
      return bySession(cookie, session);
    }
    return session.then((record) => {
      if (record !== null) refuseForged(request);
      return bySession(cookie, record);
    });
  };
}

export function accountPrincipal(account: Account, grants: readonly Grant[], rests: Principal["rests"]): Principal {
  return { name: account.login, via: "session", kind: "session", rests, account, limits: [grants] };
}

/**
 * The token that a request brings; null: none.
 *
 * @throws {ToroidError} TOR_SIGNED_OUT for another way of saying who one is
 */
export function bearerOf({ headers }: Pick<FastifyRequest, "headers">): string | null {
  const said = headers.authorization;
  if (said === undefined) return null;
  const secret = /^Bearer +([^\s]+) *$/i.exec(said)?.[1];
  if (secret !== undefined) return secret;
  throw new ToroidError("TOR_SIGNED_OUT", "the header Authorization must be `Bearer trd_…`");
}
