import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { type AuditRecord, auditPage } from "../../protocol/audit.ts";
import { NOBODY } from "../access/principal.ts";
import { bodyRepository, pathRepository } from "./access.ts";
import type { Limits } from "./limits.ts";
import type { HttpParts } from "./ports.ts";
import { readableTo } from "./user.ts";

const MAX_PAGE = 200;

/** Writes down every change that is asked for, before it is answered: what was done, and what was refused. */
export function recordChanges(
  app: FastifyInstance,
  { audit, jet, log }: HttpParts,
  limits: Pick<Limits, "isRecorded">,
): void {
  async function record(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    // Of a flood of strangers the beginning says it all.
    if ((request.principal ?? NOBODY).kind === "nobody" && !(await limits.isRecorded(request))) return;
    const entry = recordOf(request, reply, jet.clock.nowMs());
    try {
      await audit.write(entry);
    } catch (error) {
      // It is done already, or refused: not to answer would only have it asked for again.
      log.error({ err: error, ...entry }, "a change is not in the record of changes");
    }
  }
  app.addHook("onSend", (request, reply, payload, done) => {
    const isChange = request.method !== "GET" && request.method !== "HEAD";
    if (isChange || request.routeOptions.config.recorded === true) return record(request, reply);
    done(null, payload);
    return undefined;
  });
}

function recordOf(request: FastifyRequest, reply: FastifyReply, atMs: number): AuditRecord {
  const { method, params, body, ip, id, routeOptions } = request;
  const { name: who, via } = request.principal ?? NOBODY;
  const { config, url = "nothing" } = routeOptions;
  const inPath = pathRepository(params);
  const repository = inPath === undefined && config.repositoryIn === "body" ? bodyRepository(body) : (inPath ?? null);
  return {
    atMs,
    who,
    via,
    from: ip,
    action: config.action ?? `${method} ${url}`,
    target: targetOf(params, repository),
    repository,
    why: reasonOf(body),
    status: reply.statusCode,
    code: request.refusedWith,
    requestId: id,
  };
}

/** `acme/api#42 prod`, `acme/api prod`, `* prod`, or the one other thing that the path names. */
function targetOf(params: unknown, repository: string | null): string {
  const { owner, repo = "", number, ...others } = (params ?? {}) as Readonly<Record<string, string>>;
  const name = repository ?? (owner === undefined ? "" : repo);
  const build = number === undefined ? name : `${name}#${number}`;
  return [build, ...Object.values(others)].filter((part) => part !== "").join(" ");
}

function reasonOf(body: unknown): string {
  return typeof body === "object" && body !== null && "reason" in body && typeof body.reason === "string"
    ? body.reason
    : "";
}

/** `GET /api/v1/audit`: the record of changes, as far as it is about what whoever asks may read. */
export function auditRoutes(plain: FastifyInstance, { audit }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get(
    "/api/v1/audit",
    {
      config: { needs: "read" },
      schema: {
        querystring: z.object({
          before: z.coerce.number().int().positive().optional(),
          limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(50),
          /** A name, as it is in the entries. */
          who: z.string().max(100).optional(),
          /** Any part of a target: a repository, an environment. */
          target: z.string().max(300).optional(),
        }),
        response: { 200: auditPage },
      },
    },
    async (request) => {
      const { before = null, limit, who, target } = request.query;
      const readable = readableTo(request.principal);
      const { entries, next } = await audit.read({
        before,
        limit,
        wanted: (one) =>
          (who === undefined || one.who === who) &&
          (target === undefined || one.target.includes(target)) &&
          (readable === null || (one.repository !== null && readable(one.repository))),
      });
      return { entries: [...entries], next: next === null ? null : String(next) };
    },
  );
}
