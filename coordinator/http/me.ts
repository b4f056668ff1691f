import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { me } from "../../protocol/access.ts";
import { grantsOf, NOBODY, widestScope } from "../access/principal.ts";
import type { HttpConfig } from "../config.ts";

/** `GET /api/v1/me`: who asks, as far as we know, and how one can sign in. */
export function meRoutes(plain: FastifyInstance, { auth }: Pick<HttpConfig, "auth">): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get("/api/v1/me", { config: { needs: "nothing" }, schema: { response: { 200: me } } }, ({ principal }, reply) => {
    const who = principal ?? NOBODY;
    const signedIn = who.kind !== "nobody";
    void reply.header("cache-control", "no-store");
    return {
      name: signedIn ? who.name : "",
      signedIn,
      auth: auth === "none" ? ("none" as const) : ("configured" as const),
      ways: auth === "none" ? [] : (["token"] as const).slice(),
      scope: widestScope(who),
      grants: grantsOf(who).map(({ scope, repositories }) => ({
        scope,
        repositories: repositories === null ? null : [...repositories],
      })),
    };
  });
}
