import { randomUUID } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { ToroidError } from "../../protocol/errors.ts";
import { type BuildId, formatBuild } from "../../protocol/ids.ts";
import { type BuildSummary, buildSummary } from "../../protocol/summary.ts";
import { repositoryName } from "../../protocol/work.ts";
import { accept } from "../accept.ts";
import { readRequest } from "../intake/message/request.ts";
import type { Arrival } from "../intake/message.ts";
import { keepBuildTexts } from "./build-texts.ts";
import { notFound } from "./errors.ts";
import { explainer, type HttpParts } from "./ports.ts";
import { userOf } from "./user.ts";

export const repositoryParams = z.object({ owner: z.string().min(1), repo: z.string().min(1) });
export const buildParams = repositoryParams.extend({ number: z.coerce.number().int().positive() });
const accepted = z.object({ repository: z.string(), number: z.number() });

const retryBody = z.object({ reason: z.string().max(500).default(""), key: z.string().min(1).max(200).optional() });
type Retry = z.infer<typeof retryBody>;

/** For a POST that has nothing to say but that it is one. */
export function optionalBody<T extends z.ZodType>(schema: T): z.ZodPreprocess<T> {
  return z.preprocess((body) => body ?? {}, schema);
}

/** The same request as on the queue, read by the same rules. */
function arrivalOf(body: Readonly<Record<string, unknown>>): Arrival {
  const read = readRequest({ toroid: 1, ...body });
  if (read.kind === "refused") throw new ToroidError("TOR_INVALID_INPUT", read.reason);
  return { ...read, key: `api-${read.key ?? randomUUID()}` };
}

export function buildOf(params: z.infer<typeof buildParams>): BuildId {
  return { repository: `${params.owner}/${params.repo}`, number: params.number };
}

function asItIs(text: unknown): string {
  return String(text);
}

/** Reading, triggering, cancelling and retrying builds. */
export function buildRoutes(plain: FastifyInstance, parts: HttpParts): void {
  const { actors, history } = parts;
  const explain = explainer(parts);
  const texts = keepBuildTexts(parts);
  const app = plain.withTypeProvider<ZodTypeProvider>();

  async function found(id: BuildId): Promise<BuildSummary> {
    const summary = await history.build(id);
    if (summary === null) throw notFound(`build ${formatBuild(id)}`);
    return explain(summary);
  }

  app.get(
    "/api/v1/builds/:owner/:repo/:number",
    { config: { needs: "read" }, schema: { params: buildParams, response: { 200: buildSummary } } },
    async ({ params }, reply) => {
      const id = buildOf(params);
      const text = await texts.of(id, () => found(id));
      // It is as the schema has it already.
      return reply
        .type("application/json; charset=utf-8")
        .serializer(asItIs)
        .send(text as never);
    },
  );

  app.post(
    "/api/v1/builds/:owner/:repo/:number/cancel",
    {
      config: { needs: "operate", action: "cancel" },
      schema: {
        params: buildParams,
        body: optionalBody(z.object({ reason: z.string().max(500).default("") })),
        response: { 200: buildSummary },
      },
    },
    async ({ params, body, principal }) => {
      const id = buildOf(params);
      const summary = await found(id);
      const why = body.reason === "" ? "cancelled by hand" : body.reason;
      await actors.build.tell(id, { kind: "cancel", by: userOf(principal), why });
      return (await history.build(id)) ?? summary;
    },
  );

  async function retry(id: BuildId, stage: string | null, body: Retry, by: string): Promise<BuildSummary> {
    const summary = await found(id);
    const { reason: why, key = randomUUID() } = body;
    await actors.build.tell(id, { kind: "retry", key: `api-${key}`, stage, by, why });
    return (await history.build(id)) ?? summary;
  }

  app.post(
    "/api/v1/builds/:owner/:repo/:number/retry",
    {
      config: { needs: "operate", action: "retry" },
      schema: { params: buildParams, body: optionalBody(retryBody), response: { 202: buildSummary } },
    },
    async ({ params, body, principal }, reply) =>
      reply.status(202).send(await retry(buildOf(params), null, body, userOf(principal))),
  );

  app.post(
    "/api/v1/builds/:owner/:repo/:number/stages/:stage/retry",
    {
      config: { needs: "operate", action: "retry" },
      schema: {
        params: buildParams.extend({ stage: z.string().min(1) }),
        body: optionalBody(retryBody),
        response: { 202: buildSummary },
      },
    },
    async ({ params, body, principal }, reply) =>
      reply.status(202).send(await retry(buildOf(params), params.stage, body, userOf(principal))),
  );

  app.post(
    "/api/v1/builds",
    {
      config: { needs: "operate", repositoryIn: "body", action: "trigger" },
      schema: {
        body: z.looseObject({ repository: repositoryName, ref: z.string().min(1) }),
        response: { 202: accepted },
      },
    },
    async ({ body, principal }, reply) => {
      const { repository, number } = await accept(actors, arrivalOf(body), userOf(principal));
      return reply.status(202).send({ repository, number });
    },
  );

  app.post(
    "/api/v1/builds/:owner/:repo/:number/environments/:environment",
    {
      config: { needs: "operate", action: "trigger" },
      schema: {
        params: buildParams.extend({ environment: z.string().min(1) }),
        body: optionalBody(z.looseObject({})),
        response: { 202: accepted },
      },
    },
    async ({ params, body, principal }, reply) => {
      const id = buildOf(params);
      await found(id);
      const { repository, number: build } = id;
      const arrival = arrivalOf({ ...body, repository, build, environment: params.environment });
      await accept(actors, arrival, userOf(principal));
      return reply.status(202).send(id);
    },
  );
}
