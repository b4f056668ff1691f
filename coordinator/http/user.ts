/** Who asks, to routes. */
import type { IncomingHttpHeaders } from "node:http";
import { ToroidError } from "../../protocol/errors.ts";
import { printable } from "../../protocol/pipeline/text-rules.ts";
import { type Principal, readableBy } from "../access/principal.ts";
import { NOBODY_IN_PARTICULAR } from "../actors/environment/approval.ts";

const NAME_CHARACTERS = 100;

/** @throws {ToroidError} TOR_INTERNAL before it is known */
export function principalOf(principal: Principal | null): Principal {
  if (principal !== null) return principal;
  throw new ToroidError("TOR_INTERNAL", "it is not known who asks");
}

/** In whose name a request acts. */
export function userOf(principal: Principal | null): string {
  return principalOf(principal).name;
}

/** Which repositories whoever asks may read; null: all, and what belongs to none. */
export function readableTo(principal: Principal | null): ((repository: string) => boolean) | null {
  return readableBy(principalOf(principal));
}

/**
 * Who asks a coordinator without sign-in: a header says it, and nothing checks it. A proxy that knows its people sets
 * it.
 *
 * @throws {ToroidError} TOR_INVALID_INPUT for a name that cannot be shown
 */
export function saidUser(headers: IncomingHttpHeaders): string {
  const said = headers["toroid-user"];
  if (said === undefined) return NOBODY_IN_PARTICULAR;
  // Headers are Latin-1 to Node; names are UTF-8.
  const name = Buffer.from(String(said), "latin1").toString("utf8").trim();
  if (name === "") return NOBODY_IN_PARTICULAR;
  if (!isUserName(name)) {
    throw new ToroidError(
      "TOR_INVALID_INPUT",
      `the header Toroid-User is no name: ${NAME_CHARACTERS} printable characters at most`,
    );
  }
  return name;
}

export function isUserName(name: string): boolean {
  return name.length <= NAME_CHARACTERS && printable(name) === name && !name.includes("\ufffd");
}
