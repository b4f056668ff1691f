import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { type Me, me } from "../../protocol/access.ts";
import { grantsOf, NOBODY, type Principal, widestScope } from "../access/principal.ts";
import type { HttpConfig } from "../config.ts";

/** `GET /api/v1/me`: who asks, as far as we know, and how one can sign in. */
export function meRoutes(plain: FastifyInstance, config: Pick<HttpConfig, "auth">): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get("/api/v1/me", { config: { needs: "nothing" }, schema: { response: { 200: me } } }, ({ principal }, reply) => {
    void reply.header("cache-control", "no-store");
    return meOf(principal ?? NOBODY, config);
  });
}

export function meOf(who: Principal, { auth }: Pick<HttpConfig, "auth">): Me {
  const signedIn = who.kind !== "nobody";
  return {
    name: signedIn ? who.name : "",
    signedIn,
    auth: auth === "none" ? "none" : "configured",
    ways: auth === "github" ? ["github", "token"] : auth === "token" ? ["token"] : [],
    scope: widestScope(who),
    grants: grantsOf(who).map(({ scope, repositories }) => ({
      scope,
      repositories: repositories === null ? null : [...repositories],
    })),
  };
}
