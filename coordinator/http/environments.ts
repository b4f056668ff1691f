import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import type { EnvironmentId } from "../../protocol/ids.ts";
import { type EnvironmentSummary, environmentSummary } from "../../protocol/summary.ts";
import type { LaneCommand } from "../actors/environment.ts";
import type { History } from "../projections/history.ts";
import { summaryOf } from "../projections/lanes.ts";
import { optionalBody, repositoryParams } from "./builds.ts";
import { notFound } from "./errors.ts";
import type { HttpParts } from "./ports.ts";
import { userOf } from "./user.ts";

export const environmentParams = repositoryParams.extend({ environment: z.string().min(1).max(200) });
export type EnvironmentParams = z.infer<typeof environmentParams>;

/** @throws {ToroidError} TOR_NOT_FOUND for a repository that nobody knows */
export function environmentOf(history: History, { owner, repo, environment }: EnvironmentParams): EnvironmentId {
  const repository = `${owner}/${repo}`;
  if (!history.repositories().some((one) => one.repository === repository)) {
    throw notFound(`repository ${repository}: nothing was ever pushed from it`);
  }
  return { repository, environment };
}

/** Pausing, resuming, approving. */
export function environmentRoutes(plain: FastifyInstance, { actors, history }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  async function tell(at: EnvironmentParams, command: LaneCommand): Promise<EnvironmentSummary> {
    const id = environmentOf(history, at);
    return summaryOf(id, (await actors.environment.tell(id, command)).state);
  }

  app.post(
    "/api/v1/environments/:owner/:repo/:environment/pause",
    {
      schema: {
        params: environmentParams,
        body: z.object({ reason: z.string().max(500), until: z.iso.datetime({ offset: true }).nullish() }),
        response: { 200: environmentSummary },
      },
    },
    (request) => {
      const { reason, until } = request.body;
      const untilMs = until === undefined || until === null ? null : Date.parse(until);
      return tell(request.params, { kind: "pause", by: userOf(request.headers), why: reason, untilMs });
    },
  );

  app.post(
    "/api/v1/environments/:owner/:repo/:environment/resume",
    {
      schema: {
        params: environmentParams,
        body: optionalBody(z.object({ reason: z.string().max(500).default("") })),
        response: { 200: environmentSummary },
      },
    },
    (request) => tell(request.params, { kind: "resume", by: userOf(request.headers), why: request.body.reason }),
  );

  app.post(
    "/api/v1/environments/:owner/:repo/:environment/approvals",
    {
      schema: {
        params: environmentParams,
        body: z.object({
          build: z.number().int().positive(),
          round: z.number().int().positive().optional(),
          decision: z.enum(["approve", "reject"]).default("approve"),
          team: z.string().trim().min(1).max(100).optional(),
          reason: z.string().max(500).default(""),
        }),
        response: { 200: environmentSummary },
      },
    },
    (request) => {
      const { build: number, round = null, decision: kind, team = null, reason: why } = request.body;
      return tell(request.params, { kind, number, round, team, why, by: userOf(request.headers) });
    },
  );
}
