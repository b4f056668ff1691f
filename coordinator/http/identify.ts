/** Who asks a coordinator with sign-in, by what a request brings. */
import type { FastifyRequest } from "fastify";
import type { TokenRecord } from "../../protocol/access.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { NOBODY, type Principal } from "../access/principal.ts";
import { tokenPrincipal } from "../access/token-rules.ts";
import type { Tokens } from "../access/tokens.ts";
import type { Identify } from "./access.ts";

/** By a token in the header `Authorization`. */
export function identifyBy(tokens: Tokens): Identify {
  const principalOf = (record: TokenRecord): Principal => tokenPrincipal(record, () => []);
  return (request) => {
    const secret = bearerOf(request);
    if (secret === null) return NOBODY;
    const record = tokens.verify(secret);
    return record instanceof Promise ? record.then(principalOf) : principalOf(record);
  };
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
