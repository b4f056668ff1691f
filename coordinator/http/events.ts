import type { FastifyInstance } from "fastify";
import { EVERY } from "../../protocol/ids.ts";
import { explainEnvironment } from "../projections/waiting.ts";
import { repositoryOf } from "./letters.ts";
import { explainer, type HttpParts } from "./ports.ts";
import { openSse, type SseStream } from "./sse.ts";
import { readableTo } from "./user.ts";

/** `GET /api/v1/events`: every change of a build or an environment, as it is after the change. */
export function eventRoutes(app: FastifyInstance, parts: HttpParts): void {
  const { history, lanes, letters, stop } = parts;
  const explain = explainer(parts);
  /** With what each may hear of; null: everything. */
  const clients = new Map<SseStream, ((repository: string) => boolean) | null>();
  /** `repository`: null for what only those hear of who may read all of them. */
  const tell = (event: string, data: unknown, repository: string | null): void => {
    for (const [client, readable] of clients) {
      if (readable !== null && (repository === null || !mayHear(readable, repository))) continue;
      if (!client.send(event, data)) clients.delete(client);
    }
  };
  history.onChange((read) => {
    if (clients.size === 0) return;
    const build = explain(read());
    tell("build", build, build.repository);
  });
  lanes.onChange((environment) => tell("environment", explainEnvironment(environment), environment.repository));
  letters.onChange((letter) => tell("deadLetter", letter, repositoryOf(letter)));

  app.get("/api/v1/events", { config: { needs: "read", streams: true } }, (request, reply) => {
    const readable = readableTo(request.principal);
    reply.hijack();
    const client = openSse(reply.raw, stop);
    clients.set(client, readable);
    client.closed.addEventListener("abort", () => clients.delete(client), { once: true });
  });
}

/** A pause of everything is everybody's affair. */
function mayHear(readable: (repository: string) => boolean, repository: string): boolean {
  return repository === EVERY || readable(repository);
}
