import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { readSubject } from "../../kit/jetstream.ts";
import { decode } from "../../protocol/codec.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { stageEvent } from "../../protocol/events.ts";
import { formatBuild, type StageId } from "../../protocol/ids.ts";
import { RUN } from "../../protocol/streams.ts";
import { stageRunSubject } from "../../protocol/subjects.ts";
import { plan, source } from "../../protocol/work.ts";
import { attemptSummary, attemptsIn } from "../projections/attempts.ts";
import { buildOf, buildParams } from "./builds.ts";
import { notFound } from "./errors.ts";
import type { HttpParts } from "./ports.ts";

const attemptList = z.object({ attempts: z.array(attemptSummary) });
const buildConfig = z.object({ source: source.nullable(), plan });

/** What of a build is looked at seldom, and so is read from its log rather than kept in its summary. */
export function buildPartRoutes(plain: FastifyInstance, { jet, actors, history }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  app.get(
    "/api/v1/builds/:owner/:repo/:number/config",
    { config: { needs: "read" }, schema: { params: buildParams, response: { 200: buildConfig } } },
    async ({ params }) => {
      const id = buildOf(params);
      const { state } = await actors.build.load(id);
      if (state.archivedAtMs !== null) {
        const since = new Date(state.archivedAtMs).toISOString();
        throw new ToroidError(
          "TOR_ARCHIVED",
          `${formatBuild(id)} is archived since ${since}: its plan is known no more`,
        );
      }
      if (state.plan === null) {
        if ((await history.build(id)) === null) throw notFound(`build ${formatBuild(id)}`);
        throw notFound(`plan of ${formatBuild(id)}: it is not planned, or its file has problems`);
      }
      return { source: state.source, plan: state.plan };
    },
  );

  app.get(
    "/api/v1/builds/:owner/:repo/:number/stages/:stage/attempts",
    {
      config: { needs: "read" },
      schema: {
        params: buildParams.extend({ stage: z.string().min(1) }),
        querystring: z.object({ round: z.coerce.number().int().positive().default(1) }),
        response: { 200: attemptList },
      },
    },
    async ({ params, query }) => {
      const id: StageId = { ...buildOf(params), stage: params.stage, round: query.round };
      const summary = await history.build(id);
      if (summary === null) throw notFound(`build ${formatBuild(id)}`);
      const names = summary.stages.map(({ name }) => name);
      if (!names.includes(id.stage))
        throw notFound(`stage ${id.stage} in ${formatBuild(id)}: it has ${names.join(", ")}`);
      const events = await readSubject(jet, RUN.name, stageRunSubject(id), 0);
      return { attempts: [...attemptsIn(events.map(({ data }) => decode(stageEvent, data)))] };
    },
  );
}
