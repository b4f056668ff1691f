import type { FastifyInstance } from "fastify";
import { EVERY } from "../../../protocol/ids.ts";
import { BUILD } from "../../../protocol/streams.ts";
import type { HttpParts } from "../ports.ts";
import { openSse } from "../sse.ts";
import { readableTo } from "../user.ts";
import { EventHub, type Readable } from "./hub.ts";
import { missedSince } from "./missed.ts";
import { type Position, positionFrom, positionText } from "./position.ts";
import { changeSources } from "./sources.ts";

/** `GET /api/v1/events`: every change of what people see, as it is after the change. */
export async function eventRoutes(app: FastifyInstance, parts: HttpParts): Promise<EventHub> {
  const { jet, log, stop } = parts;
  // Another store counts anew, and is made at another time.
  const { created } = await jet.jsm.streams.info(BUILD.name);
  const hub = new EventHub(() => positionText(sources.position()), log);
  const sources = changeSources(
    parts,
    Date.parse(created).toString(36),
    (change) => hub.tell(change),
    () => hub.size > 0,
  );

  app.get("/api/v1/events", { config: { needs: "read", streams: true } }, (request, reply) => {
    const readable = withCommon(readableTo(request.principal));
    const last = request.headers["last-event-id"];
    reply.hijack();
    const stream = openSse(reply.raw, stop);
    if (last === undefined) hub.join(stream, readable, null);
    else hub.join(stream, readable, async () => resumed(positionFrom(String(last))));
  });

  /** Null: nobody knows what came after that. */
  async function resumed(since: Position | null) {
    return since === null ? null : missedSince(jet, sources, since);
  }
  return hub;
}

/** A pause of everything is everybody's affair, and executors are. */
function withCommon(readable: Readable): Readable {
  return readable === null ? null : (repository) => repository === EVERY || readable(repository);
}
