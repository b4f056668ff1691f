import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { encode } from "../../protocol/codec.ts";
import { type DrainOrder, type Presence, presence } from "../../protocol/commands.ts";
import { optionalBody } from "./builds.ts";
import { notFound } from "./errors.ts";
import { runningWhat } from "./events/sources.ts";
import type { HttpParts } from "./ports.ts";
import { readableTo, userOf } from "./user.ts";

const executorList = z.object({ executors: z.array(presence) });
const executorParams = z.object({ executor: z.string().min(1).max(200) });

/** Who is there, and taking one of them out of service and back. What is asked shows in the list once it is done. */
export function executorRoutes(plain: FastifyInstance, { jet, executors, drains }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  const alive = (): readonly Presence[] => executors.alive(Date.now()).toSorted((a, b) => (a.id < b.id ? -1 : 1));

  /** By id; by the name of a host all that are on it. */
  function named(name: string): readonly Presence[] {
    const found = alive().filter(({ id, host }) => id === name || host === name);
    if (found.length > 0) return found;
    throw notFound(`executor ${name}: \`toroid executors\` lists those that are there`);
  }

  app.get(
    "/api/v1/executors",
    { config: { needs: "read" }, schema: { response: { 200: executorList } } },
    ({ principal }) => {
      const readable = readableTo(principal);
      if (readable === null) return { executors: [...alive()] };
      return { executors: alive().map((one) => runningWhat(one, readable)) };
    },
  );

  app.post(
    "/api/v1/executors/:executor/drain",
    {
      config: { needs: "admin", action: "drain" },
      schema: {
        params: executorParams,
        body: optionalBody(z.object({ reason: z.string().max(500).default("") })),
        response: { 202: executorList },
      },
    },
    async ({ params, body, principal }, reply) => {
      const order: DrainOrder = { by: userOf(principal), why: body.reason, atMs: jet.clock.nowMs() };
      const asked = named(params.executor);
      for (const { id } of asked) await drains.put(id, encode(order));
      return reply.status(202).send({ executors: [...asked] });
    },
  );

  app.post(
    "/api/v1/executors/:executor/undrain",
    {
      config: { needs: "admin", action: "undrain" },
      schema: { params: executorParams, body: optionalBody(z.object({})), response: { 202: executorList } },
    },
    async ({ params }, reply) => {
      const asked = named(params.executor);
      for (const { id } of asked) await drains.purge(id);
      return reply.status(202).send({ executors: [...asked] });
    },
  );
}
