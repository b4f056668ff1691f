/** A page elsewhere must not act through a browser on this machine: neither by another origin nor by another name. */
import type { FastifyInstance } from "fastify";
import { ToroidError } from "../../protocol/errors.ts";

const LOCAL_NAME = /^(127\.[0-9.]+|localhost|\[::1\])(:[0-9]+)?$/;

interface Said {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
}

export function refuseForeign(app: FastifyInstance): void {
  app.addHook("onRequest", (request, _reply, done) => {
    const why = whyForeign(request.method, request.headers);
    done(why === null ? undefined : new ToroidError("TOR_INVALID_INPUT", why));
  });
}

function whyForeign(method: string, { host, origin }: Said): string | null {
  if (host !== undefined && !LOCAL_NAME.test(host)) return "this coordinator answers to its loopback address only";
  if (method === "GET" || method === "HEAD" || origin === undefined) return null;
  return URL.parse(origin)?.host === host ? null : "a page of another origin may not change anything here";
}
