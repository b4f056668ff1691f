import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { deliveryPage, deliverySummary, targetList } from "../../protocol/delivery.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { isDeliveryId } from "../notify/audience.ts";
import { optionalBody } from "./builds.ts";
import { notFound } from "./errors.ts";
import type { HttpParts } from "./ports.ts";
import { readableTo, userOf } from "./user.ts";

const MAX_PAGE = 100;

const deliveryParams = z.object({ id: z.string().min(1).max(400) });

/** What became of notifications, one tried again, and a test of a target. */
export function deliveryRoutes(plain: FastifyInstance, { deliveries }: Pick<HttpParts, "deliveries">): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  app.get(
    "/api/v1/deliveries",
    {
      config: { needs: "read" },
      schema: {
        querystring: z.object({
          limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(30),
          before: z
            .string()
            .regex(/^[1-9][0-9]{0,14}$/, "the `next` of the page before")
            .optional(),
        }),
        response: { 200: deliveryPage },
      },
    },
    ({ query, principal }) => {
      const before = query.before === undefined ? null : Number(query.before);
      return deliveries.page(before, query.limit, readableTo(principal));
    },
  );

  app.get(
    "/api/v1/deliveries/:id",
    { config: { needs: "read" }, schema: { params: deliveryParams, response: { 200: deliverySummary } } },
    async ({ params, principal }) => {
      const { id } = params;
      const found = isDeliveryId(id) ? await deliveries.read(id, readableTo(principal)) : null;
      if (found === null) throw noDelivery(id);
      return found;
    },
  );

  app.post(
    "/api/v1/deliveries/:id/retry",
    {
      config: { needs: "operate", action: "retry delivery" },
      schema: {
        params: deliveryParams,
        body: optionalBody(z.object({ reason: z.string().max(500).default("") })),
        response: { 202: deliverySummary },
      },
    },
    async ({ params }, reply) => {
      const { id } = params;
      const retried = isDeliveryId(id) ? await deliveries.retry(id) : null;
      if (retried === null) throw noDelivery(id);
      return reply.status(202).send(retried);
    },
  );

  app.get("/api/v1/targets", { config: { needs: "read" }, schema: { response: { 200: targetList } } }, () => ({
    targets: [...deliveries.targets()],
  }));

  app.post(
    "/api/v1/targets/:target/test",
    {
      config: { needs: "operate", action: "test target" },
      schema: {
        params: z.object({ target: z.string().min(1).max(100) }),
        body: optionalBody(z.object({ reason: z.string().max(500).default("") })),
        response: { 202: deliverySummary },
      },
    },
    async ({ params, principal }, reply) => {
      const { target } = params;
      const known = deliveries.targets().find(({ name }) => name === target);
      if (known === undefined)
        throw notFound(`target ${JSON.stringify(target)}: \`toroid deliveries targets\` lists them`);
      return reply.status(202).send(await deliveries.test(target, known.channel, userOf(principal)));
    },
  );
}

function noDelivery(id: string): ToroidError {
  return notFound(`delivery ${JSON.stringify(id.slice(0, 100))}: \`toroid deliveries ls\` lists them`);
}
