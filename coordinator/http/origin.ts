/** A page elsewhere must not act through a browser on this machine: neither by another origin nor by another name. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { ToroidError } from "../../protocol/errors.ts";
import type { HttpConfig } from "../config.ts";

const LOCAL_NAME = /^(127\.[0-9.]+|localhost|\[::1\])(:[0-9]+)?$/;

type Asked = Pick<FastifyRequest, "method" | "headers">;

export function refuseForeign(app: FastifyInstance, at: Pick<HttpConfig, "auth" | "publicUrl">): void {
  const whyForeign = foreigners(at);
  app.addHook("onRequest", (request, _reply, done) => {
    // Whoever balances the load asks for its health by whatever name.
    const isHealth = at.auth !== "none" && request.routeOptions.config.needs === "nothing" && isHealthOf(request.url);
    const why = isHealth ? null : whyForeign(request);
    done(why === null ? undefined : new ToroidError("TOR_INVALID_INPUT", why));
  });
}

/** Says why a request is refused before anything of it is looked at; null: it is not. Pure. */
export function foreigners({
  auth,
  publicUrl,
}: Pick<HttpConfig, "auth" | "publicUrl">): (asked: Asked) => string | null {
  const publicHost = publicUrl === null ? null : new URL(publicUrl).host;
  const knows = (host: string): boolean => LOCAL_NAME.test(host) || host === publicHost;
  return ({ method, headers: { host, origin, authorization } }) => {
    // No page can add a token to what its browser sends.
    const isProgram = auth !== "none" && authorization !== undefined;
    if (!isProgram && host !== undefined && !knows(host)) {
      return publicHost === null
        ? "this coordinator answers to its loopback address only"
        : `this coordinator answers to ${publicHost} and to its loopback address only`;
    }
    if (method === "GET" || method === "HEAD" || origin === undefined) return null;
    const from = URL.parse(origin);
    // Behind a proxy that calls us by our loopback address, the browser still says the public one.
    const isOurs = from !== null && (from.origin === publicUrl || (from.host === host && host !== publicHost));
    return isOurs ? null : "a page of another origin may not change anything here";
  };
}

function isHealthOf(url: string): boolean {
  return url === "/healthz" || url === "/readyz";
}
