import type { FastifyInstance } from "fastify";
import { explainEnvironment } from "../projections/waiting.ts";
import { explainer, type HttpParts } from "./ports.ts";
import { openSse, type SseStream } from "./sse.ts";

/** `GET /api/v1/events`: every change of a build or an environment, as it is after the change. */
export function eventRoutes(app: FastifyInstance, parts: HttpParts): void {
  const { history, lanes, stop } = parts;
  const explain = explainer(parts);
  const clients = new Set<SseStream>();
  const tell = (event: string, data: unknown): void => {
    for (const client of clients) if (!client.send(event, data)) clients.delete(client);
  };
  history.onChange((read) => {
    if (clients.size > 0) tell("build", explain(read()));
  });
  lanes.onChange((environment) => tell("environment", explainEnvironment(environment)));

  app.get("/api/v1/events", (_request, reply) => {
    reply.hijack();
    const client = openSse(reply.raw, stop);
    clients.add(client);
    client.closed.addEventListener("abort", () => clients.delete(client), { once: true });
  });
}
