import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { type EnvironmentSummary, environmentSummary } from "../../protocol/summary.ts";
import type { LaneCommand } from "../actors/environment.ts";
import { summaryOf } from "../projections/lanes.ts";
import { optionalBody, repositoryParams } from "./builds.ts";
import { notFound } from "./errors.ts";
import type { HttpParts } from "./ports.ts";
import { userOf } from "./user.ts";

const params = repositoryParams.extend({ environment: z.string().min(1).max(200) });

/** Pausing, resuming, approving. */
export function environmentRoutes(plain: FastifyInstance, { actors, history }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  async function tell(at: z.infer<typeof params>, command: LaneCommand): Promise<EnvironmentSummary> {
    const id = { repository: `${at.owner}/${at.repo}`, environment: at.environment };
    if (!history.repositories().some((one) => one.repository === id.repository)) {
      throw notFound(`repository ${id.repository}: nothing was ever pushed from it`);
    }
    return summaryOf(id, (await actors.environment.tell(id, command)).state);
  }

  app.post(
    "/api/v1/environments/:owner/:repo/:environment/pause",
    {
      schema: {
        params,
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
        params,
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
        params,
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
