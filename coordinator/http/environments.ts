import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { ToroidError } from "../../protocol/errors.ts";
import { type EnvironmentId, EVERY, isWider } from "../../protocol/ids.ts";
import { type EnvironmentSummary, environmentSummary } from "../../protocol/summary.ts";
import type { Principal } from "../access/principal.ts";
import type { LaneCommand } from "../actors/environment.ts";
import { widerPauses } from "../admission.ts";
import type { History } from "../projections/history.ts";
import { summaryOf } from "../projections/lanes.ts";
import { explainEnvironment } from "../projections/waiting.ts";
import { optionalBody, repositoryParams } from "./builds.ts";
import { notFound } from "./errors.ts";
import type { HttpParts } from "./ports.ts";
import { principalOf, userOf } from "./user.ts";

export const environmentParams = repositoryParams.extend({ environment: z.string().min(1).max(200) });
export type EnvironmentParams = z.infer<typeof environmentParams>;

/**
 * @throws {ToroidError} TOR_NOT_FOUND for a repository that nobody knows; TOR_INVALID_INPUT for more than one
 * environment
 */
export function environmentOf(history: History, params: EnvironmentParams): EnvironmentId {
  const id = anyOf(history, params);
  if (!isWider(id)) return id;
  throw new ToroidError("TOR_INVALID_INPUT", "name one environment: only a pause is of several");
}

/** An environment, or several of them by `*`: of a repository, by their name everywhere, or all. */
function anyOf(history: History, { owner, repo, environment }: EnvironmentParams): EnvironmentId {
  if (owner === EVERY && repo === EVERY) return { repository: EVERY, environment };
  const repository = `${owner}/${repo}`;
  if (!history.repositories().some((one) => one.repository === repository)) {
    throw notFound(`repository ${repository}: nothing was ever pushed from it`);
  }
  return { repository, environment };
}

/** Pausing, resuming, approving. */
export function environmentRoutes(plain: FastifyInstance, { actors, history }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  async function tell(id: EnvironmentId, command: LaneCommand): Promise<EnvironmentSummary> {
    const { state } = await actors.environment.tell(id, command);
    return explainEnvironment(summaryOf(id, state, isWider(id) ? [] : await widerPauses(actors, id)));
  }

  app.post(
    "/api/v1/environments/:owner/:repo/:environment/pause",
    {
      config: { needs: "operate", action: "pause" },
      schema: {
        params: environmentParams,
        body: z.object({ reason: z.string().max(500), until: z.iso.datetime({ offset: true }).nullish() }),
        response: { 200: environmentSummary },
      },
    },
    (request) => {
      const { reason, until } = request.body;
      const untilMs = until === undefined || until === null ? null : Date.parse(until);
      return tell(anyOf(history, request.params), {
        kind: "pause",
        by: userOf(request.principal),
        why: reason,
        untilMs,
      });
    },
  );

  app.post(
    "/api/v1/environments/:owner/:repo/:environment/resume",
    {
      config: { needs: "operate", action: "resume" },
      schema: {
        params: environmentParams,
        body: optionalBody(z.object({ reason: z.string().max(500).default("") })),
        response: { 200: environmentSummary },
      },
    },
    (request) =>
      tell(anyOf(history, request.params), { kind: "resume", by: userOf(request.principal), why: request.body.reason }),
  );

  app.post(
    "/api/v1/environments/:owner/:repo/:environment/approvals",
    {
      config: { needs: "operate", action: "approve" },
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
      refuseBoast(request.principal, team);
      return tell(environmentOf(history, request.params), {
        kind,
        number,
        round,
        team,
        why,
        by: userOf(request.principal),
      });
    },
  );
}

/**
 * Where people sign in, it is known who is in which team: nobody acts for another one.
 *
 * @throws {ToroidError} TOR_NOT_ALLOWED
 */
function refuseBoast(who: Principal | null, team: string | null): void {
  const { name, kind, account } = principalOf(who);
  if (team === null || kind === "local") return;
  const own = [...(account?.teams ?? []), ...(account?.organizations ?? [])].map((one) => one.toLowerCase());
  if (own.includes(team.replace(/^@/, "").toLowerCase())) return;
  throw new ToroidError("TOR_NOT_ALLOWED", `${name} is not in ${team}, as far as GitHub said when they signed in`);
}
