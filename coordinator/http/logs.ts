import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import type { StageId } from "../../protocol/ids.ts";
import { formatBuild, formatStage } from "../../protocol/ids.ts";
import type { LogChunk } from "../../protocol/log.ts";
import type { StageSummary } from "../../protocol/summary.ts";
import { type Removed, readLog, removedOf } from "../projections/logs.ts";
import { buildOf, buildParams } from "./builds.ts";
import { notFound } from "./errors.ts";
import type { HttpParts } from "./ports.ts";
import { openSse } from "./sse.ts";

const CLAIM_CHECK_MS = 50;

/** The log of one stage: plain bytes, or events for pages that show it while it grows. */
export function logRoutes(plain: FastifyInstance, { jet, history, stop, log }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  async function stageOf(id: StageId): Promise<StageSummary> {
    const build = await history.build(id);
    if (build === null) throw notFound(`build ${formatBuild(id)}`);
    const stage = build.stages.find((one) => one.name === id.stage && one.round === id.round);
    if (stage === undefined) {
      const names = build.stages.map((one) => one.name).join(", ");
      throw notFound(`stage ${id.stage} in ${formatBuild(id)}: it has ${names}`);
    }
    return stage;
  }

  /** The stage, and the attempt to show; a follower waits for the first. Null: it ended without, or the client left. */
  async function attemptOf(
    id: StageId,
    wanted: number | undefined,
    follow: boolean,
    signal: AbortSignal,
  ): Promise<{ readonly stage: StageSummary; readonly attempt: number | null }> {
    for (;;) {
      const stage = await stageOf(id);
      if (wanted !== undefined) return { stage, attempt: wanted };
      if (stage.executor !== null && stage.attempt > 0) return { stage, attempt: stage.attempt };
      if (!follow || stage.status === "finished" || signal.aborted) return { stage, attempt: null };
      await delay(CLAIM_CHECK_MS);
    }
  }

  /** The log ends a moment before it is known how the stage ended. */
  async function outcomeOf(id: StageId, follow: boolean, signal: AbortSignal): Promise<StageSummary["outcome"]> {
    for (;;) {
      const stage = await stageOf(id);
      if (!follow || stage.status === "finished" || stage.status === "retrying" || signal.aborted) return stage.outcome;
      await delay(CLAIM_CHECK_MS);
    }
  }

  app.get(
    "/api/v1/builds/:owner/:repo/:number/stages/:stage/log",
    {
      config: { needs: "read", streams: true },
      schema: {
        params: buildParams.extend({ stage: z.string().min(1) }),
        querystring: z.object({
          round: z.coerce.number().int().positive().default(1),
          attempt: z.coerce.number().int().positive().optional(),
          offset: z.coerce.number().int().nonnegative().default(0),
          follow: z.enum(["0", "1"]).default("0"),
        }),
      },
    },
    async (request, reply) => {
      const { params, query } = request;
      const id: StageId = { ...buildOf(params), stage: params.stage, round: query.round };
      const follow = query.follow === "1";
      const wantsEvents = (request.headers.accept ?? "").includes("text/event-stream");
      const resume = Number(request.headers["last-event-id"] ?? query.offset);
      const offset = Number.isSafeInteger(resume) && resume >= 0 ? resume : 0;

      const gone = new AbortController();
      // Of this answer: the socket may serve many.
      reply.raw.once("close", () => gone.abort());
      const signal = AbortSignal.any([gone.signal, stop]);
      const { stage, attempt } = await attemptOf(id, query.attempt, follow, signal);
      const isOver = async (): Promise<boolean> => {
        if (!follow) return true;
        const now = await stageOf(id);
        return now.status === "finished" || (attempt !== null && now.attempt > attempt);
      };
      const chunks = attempt === null ? [] : readLog(jet, id, attempt, offset, isOver, signal);
      const removed = attempt === null ? null : await removedOf(jet, id, attempt, offset, stage);
      reply.hijack();
      try {
        if (wantsEvents) await sendEvents({ chunks, removed, offset }, id, follow, signal, reply.raw);
        else await sendPlain({ chunks, removed, offset }, signal, reply.raw);
      } catch (error) {
        // An answer that is cut short must not look like a whole one.
        if (!signal.aborted) log.warn({ err: error, stage: formatStage(id) }, "a log could not be sent to its end");
        reply.raw.destroy();
      }
    },
  );

  async function sendEvents(
    { chunks, removed, offset }: Content,
    id: StageId,
    follow: boolean,
    signal: AbortSignal,
    response: ServerResponse,
  ): Promise<void> {
    const client = openSse(response, stop);
    let at = offset + (removed?.bytes ?? 0);
    let last: { readonly droppedBytes: number; readonly atMs: number | null } = { droppedBytes: 0, atMs: null };
    if (removed !== null) client.send("removed", { offset, ...removed }, String(at));
    for await (const chunk of chunks) {
      if (chunk.kind === "bytes") {
        at = chunk.offset + chunk.data.byteLength;
        const text = Buffer.from(chunk.data).toString("base64");
        if (!client.send("bytes", { offset: chunk.offset, atMs: chunk.atMs, text }, String(at))) return;
        await client.drained();
      } else if (chunk.kind === "phase") {
        client.send("phase", { offset: chunk.offset, phase: chunk.phase, atMs: chunk.atMs });
      } else last = { droppedBytes: chunk.droppedBytes, atMs: chunk.atMs };
    }
    if (!signal.aborted) {
      const outcome = await outcomeOf(id, follow, signal);
      client.send("end", { offset: at, ...last, outcome, stage: formatStage(id) }, String(at));
    }
    client.close();
  }
}

interface Content {
  readonly chunks: AsyncIterable<LogChunk> | Iterable<LogChunk>;
  readonly removed: Removed | null;
  readonly offset: number;
}

async function sendPlain(
  { chunks, removed, offset }: Content,
  signal: AbortSignal,
  response: ServerResponse,
): Promise<void> {
  response.writeHead(200, {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "toroid-log-offset": String(offset + (removed?.bytes ?? 0)),
    ...removedHeaders(removed),
  });
  response.flushHeaders();
  for await (const chunk of chunks) {
    if (chunk.kind !== "bytes" || response.write(chunk.data)) continue;
    await once(response, "drain", { signal }).catch(() => undefined);
  }
  response.end();
}

function removedHeaders(removed: Removed | null): Readonly<Record<string, string>> {
  if (removed === null) return {};
  const { bytes, sinceMs } = removed;
  const since = sinceMs === null ? {} : { "toroid-log-removed-since": new Date(sinceMs).toISOString() };
  return { "toroid-log-removed-bytes": String(bytes), ...since };
}
