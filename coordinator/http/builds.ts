import { randomUUID } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { type BuildId, formatBuild } from "../../protocol/ids.ts";
import { type BuildSummary, buildSummary, environmentSummary } from "../../protocol/summary.ts";
import { remote, repositoryName } from "../../protocol/work.ts";
import { accept } from "../accept.ts";
import { notFound } from "./errors.ts";
import type { HttpParts } from "./ports.ts";

const MAX_PAGE = 100;

export const repositoryParams = z.object({ owner: z.string().min(1), repo: z.string().min(1) });
export const buildParams = repositoryParams.extend({ number: z.coerce.number().int().positive() });
const textMap = z.record(z.string(), z.string());
const accepted = z.object({ repository: z.string(), number: z.number() });
/** No sign-in yet: everybody on this machine is the same person. */
export const LOCAL_USER = "local";

export function buildOf(params: z.infer<typeof buildParams>): BuildId {
  return { repository: `${params.owner}/${params.repo}`, number: params.number };
}

/** Listing, reading, triggering and cancelling builds. */
export function buildRoutes(plain: FastifyInstance, { actors, history, lanes }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  async function found(id: BuildId): Promise<BuildSummary> {
    const summary = await history.build(id);
    if (summary === null) throw notFound(`build ${formatBuild(id)}`);
    return summary;
  }

  app.get(
    "/api/v1/repositories",
    {
      schema: {
        response: {
          200: z.object({
            repositories: z.array(
              z.object({ repository: z.string(), builds: z.number(), environments: z.array(environmentSummary) }),
            ),
          }),
        },
      },
    },
    () => ({
      repositories: history.repositories().map((one) => ({ ...one, environments: [...lanes.list(one.repository)] })),
    }),
  );

  app.get(
    "/api/v1/builds",
    {
      schema: {
        querystring: z.object({
          repository: repositoryName.optional(),
          limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(30),
          before: z.coerce.number().int().positive().optional(),
        }),
        response: { 200: z.object({ builds: z.array(buildSummary), next: z.string().nullable() }) },
      },
    },
    async ({ query }) => {
      const { repository, limit, before = Number.MAX_SAFE_INTEGER } = query;
      if (repository !== undefined) {
        const builds = [...(await history.page(repository, before, limit))];
        const last = builds.at(-1);
        const next = last === undefined || last.number === 1 ? null : String(last.number);
        return { builds, next };
      }
      const pages = await Promise.all(
        history.repositories().map((one) => history.page(one.repository, Number.MAX_SAFE_INTEGER, limit)),
      );
      const builds = pages.flat().sort((a, b) => b.createdAtMs - a.createdAtMs);
      return { builds: builds.slice(0, limit), next: null };
    },
  );

  app.get(
    "/api/v1/builds/:owner/:repo/:number",
    { schema: { params: buildParams, response: { 200: buildSummary } } },
    ({ params }) => found(buildOf(params)),
  );

  app.post(
    "/api/v1/builds/:owner/:repo/:number/cancel",
    {
      schema: {
        params: buildParams,
        body: z.object({ reason: z.string().max(500).default("") }),
        response: { 200: buildSummary },
      },
    },
    async ({ params, body }) => {
      const id = buildOf(params);
      const summary = await found(id);
      const why = body.reason === "" ? "cancelled by hand" : body.reason;
      await actors.build.tell(id, { kind: "cancel", by: LOCAL_USER, why });
      return (await history.build(id)) ?? summary;
    },
  );

  app.post(
    "/api/v1/builds",
    {
      schema: {
        body: z.object({
          repository: repositoryName,
          ref: z.string().min(1).max(500),
          params: textMap.default({}),
          remote: remote.nullable().default(null),
          key: z.string().min(1).max(200).optional(),
        }),
        response: { 202: accepted },
      },
    },
    async ({ body }, reply) => {
      const { repository, ref, params, remote: from } = body;
      const request = { what: "build", repository, ref, remote: from, params } as const;
      const key = `api-${body.key ?? randomUUID()}`;
      const { number } = await accept(actors, { kind: "request", key, request }, LOCAL_USER);
      return reply.status(202).send({ repository, number });
    },
  );

  app.post(
    "/api/v1/builds/:owner/:repo/:number/environments/:environment",
    {
      schema: {
        params: buildParams.extend({ environment: z.string().min(1) }),
        body: z.object({ params: textMap.default({}), key: z.string().min(1).max(200).optional() }),
        response: { 202: accepted },
      },
    },
    async ({ params, body }, reply) => {
      const id = buildOf(params);
      await found(id);
      const request = { what: "environment", ...id, environment: params.environment, params: body.params } as const;
      const key = `api-${body.key ?? randomUUID()}`;
      await accept(actors, { kind: "request", key, request }, LOCAL_USER);
      return reply.status(202).send(id);
    },
  );
}
