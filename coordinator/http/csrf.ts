import type { FastifyRequest } from "fastify";
import { ToroidError } from "../../protocol/errors.ts";

/**
 * A change that rests on a cookie must come from our own page: it sends a header that no form can send, and that a page
 * of another origin may not; and the browser itself says where it comes from. (`origin.ts` has compared an `Origin`.)
 *
 * @throws {ToroidError} TOR_NOT_ALLOWED
 */
export function refuseForged({ method, headers }: Pick<FastifyRequest, "method" | "headers">): void {
  if (method === "GET" || method === "HEAD") return;
  const isNear = headers.origin !== undefined || headers["sec-fetch-site"] === "same-origin";
  const site = headers["sec-fetch-site"];
  const isOurs = site === undefined || site === "same-origin";
  if (headers["toroid-csrf"] === "1" && isNear && isOurs) return;
  const wanted = "the header `Toroid-Csrf: 1` and an `Origin` of this coordinator; programs send a token instead";
  throw new ToroidError("TOR_NOT_ALLOWED", `a change by a signed-in browser needs ${wanted}`);
}
