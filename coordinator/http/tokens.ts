import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { madeToken, tokenList, tokenScope } from "../../protocol/access.ts";
import { mayRemoveToken, maySeeToken, newTokenFor } from "../access/token-rules.ts";
import { notFound } from "./errors.ts";
import type { HttpParts } from "./ports.ts";
import { isUserName, principalOf } from "./user.ts";

const MOST_DAYS = 36_500;
const userName = z.string().trim().min(1).refine(isUserName, "must be 100 printable characters at most");

const wish = z.object({
  name: userName,
  scope: tokenScope.default("read"),
  repositories: z.array(z.string().max(200)).min(1).max(100).nullable().default(null),
  /** Until it expires; null: never. */
  days: z.number().int().positive().max(MOST_DAYS).nullable().default(90),
  user: userName.nullable().default(null),
});

/** Tokens: those of whoever asks, and of everybody for an admin. */
export function tokenRoutes(plain: FastifyInstance, { tokens, jet }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  app.get(
    "/api/v1/tokens",
    { config: { needs: "read" }, schema: { response: { 200: tokenList } } },
    async ({ principal }) => {
      const who = principalOf(principal);
      return { tokens: (await tokens.list()).filter((one) => maySeeToken(who, one)) };
    },
  );

  app.post(
    "/api/v1/tokens",
    { config: { needs: "read", action: "create token" }, schema: { body: wish, response: { 201: madeToken } } },
    async ({ body, principal }, reply) => {
      const who = principalOf(principal);
      const made = await tokens.create(newTokenFor(who, body, jet.clock.nowMs()), who.name);
      return reply.status(201).header("cache-control", "no-store").send(made);
    },
  );

  app.delete(
    "/api/v1/tokens/:token",
    {
      config: { needs: "read", action: "remove token" },
      schema: { params: z.object({ token: z.string().max(100) }) },
    },
    async ({ params, principal }, reply) => {
      const found = await tokens.find(params.token);
      if (found === null || !mayRemoveToken(principalOf(principal), found)) {
        throw notFound(`token ${params.token}: \`toroid token ls\` lists those that you may remove`);
      }
      await tokens.remove(found.id);
      return reply.status(204).send();
    },
  );
}
