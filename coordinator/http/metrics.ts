import type { FastifyInstance } from "fastify";
import { addGauges, type Looked } from "../metrics/gauges.ts";
import type { HttpParts } from "./ports.ts";

/** `GET /metrics`, in the words of Prometheus. */
export function metricRoutes(app: FastifyInstance, parts: HttpParts, listeners: Looked["listeners"]): void {
  const { counts } = parts;
  addGauges(counts.registry, { ...parts, listeners });
  app.get("/metrics", { config: { needs: "read" } }, async (_request, reply) => {
    const text = await counts.registry.metrics();
    return reply.type(counts.registry.contentType).send(text);
  });
}

/** Counts every request that was answered, from now on; what is asked for that is not there is one route. */
export function countRequests(app: FastifyInstance, { counts }: Pick<HttpParts, "counts">): void {
  app.addHook("onResponse", (request, reply, done) => {
    const route = request.is404 ? "nothing" : (request.routeOptions.url ?? "nothing");
    counts.ofRequest(request.method, route, reply.statusCode, reply.elapsedTime / 1_000);
    done();
  });
}
