import { randomUUID } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { ToroidError } from "../../protocol/errors.ts";
import type { Standing } from "../../protocol/events.ts";
import { variableProblem } from "../../protocol/pipeline/text-rules.ts";
import { environmentSummary } from "../../protocol/summary.ts";
import { standingOf } from "../actors/build/work.ts";
import { comesBefore } from "../actors/order.ts";
import { widerPauses } from "../admission.ts";
import { summaryOf } from "../projections/lanes.ts";
import { explainEnvironment } from "../projections/waiting.ts";
import { optionalBody } from "./builds.ts";
import { type EnvironmentParams, environmentOf, environmentParams } from "./environments.ts";
import type { HttpParts } from "./ports.ts";
import { userOf } from "./user.ts";

const build = z.number().int().positive();
const reason = z.string().max(500);
const variables = z
  .record(z.string(), z.string().max(32 * 1024))
  .superRefine((given, context) => {
    for (const name of Object.keys(given)) {
      const message = variableProblem(name);
      if (message !== null) context.addIssue({ code: "custom", message });
    }
  })
  .default({});
const deployment = z.object({
  repository: z.string(),
  number: z.number(),
  environment: z.string(),
  round: z.number(),
});
type Deployment = z.infer<typeof deployment>;

interface Wish {
  readonly number: number;
  readonly by: string;
  readonly why: string;
  readonly params: Readonly<Record<string, string>>;
  readonly rollback: boolean;
  readonly key: string;
}

/** Any build's artifact to any environment, as it is: forward, or back with the lane held. */
export function deploymentRoutes(plain: FastifyInstance, { actors, history, gate }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  async function deploy(at: EnvironmentParams, wish: Wish): Promise<Deployment> {
    const { repository, environment } = environmentOf(history, at);
    const { number, ...rest } = wish;
    await refuseWithoutAmi(repository, number);
    const { state } = await actors.build.tell({ repository, number }, { kind: "promote", environment, ...rest });
    // Its own, or the one that was under way when it came.
    const asked = state.requested.filter((one) => one.environment === environment && one.how !== "request");
    const met = asked.find((one) => one.key === wish.key) ?? asked.at(-1);
    return { repository, number, environment, round: met?.round ?? 1 };
  }

  /** The lane looks again when its turn comes; but who asks should hear it now. */
  async function refuseWithoutAmi(repository: string, number: number): Promise<void> {
    const { artifact } = (await actors.build.load({ repository, number })).state;
    if (artifact?.kind !== "ami") return;
    const verdict = await gate.verify(artifact);
    if (verdict.kind === "gone")
      throw new ToroidError("TOR_REFUSED", `the AMI of #${number} is of no use: ${verdict.why}`);
    if (verdict.kind === "unsure") throw new ToroidError("TOR_EC2_UNREACHABLE", `${verdict.why}; ask again`);
  }

  /** In push order, as far as that is known of both. */
  async function isNewer(repository: string, number: number, live: number, at: Standing | null): Promise<boolean> {
    const { state } = await actors.build.load({ repository, number });
    const own = standingOf(number, state);
    return own === null || at === null ? number > live : own.number !== at.number && comesBefore(at, own);
  }

  app.post(
    "/api/v1/environments/:owner/:repo/:environment/promote",
    {
      config: { needs: "operate", action: "promote" },
      schema: {
        params: environmentParams,
        body: z.object({
          build,
          reason: reason.default(""),
          params: variables,
          key: z.string().min(1).max(200).optional(),
        }),
        response: { 202: deployment },
      },
    },
    async ({ params, body, principal }, reply) => {
      const { build: number, reason: why, params: given, key = randomUUID() } = body;
      const wish = { number, why, params: given, by: userOf(principal), rollback: false, key: `api-${key}` };
      return reply.status(202).send(await deploy(params, wish));
    },
  );

  app.post(
    "/api/v1/environments/:owner/:repo/:environment/rollback",
    {
      config: { needs: "operate", action: "rollback" },
      schema: {
        params: environmentParams,
        body: z.object({ build: build.optional(), reason: reason.trim().min(1), params: variables }),
        response: { 202: deployment },
      },
    },
    async ({ params, body, principal }, reply) => {
      const id = environmentOf(history, params);
      const { state } = await actors.environment.load(id);
      const number = body.build ?? state.before[0]?.number;
      if (number === undefined) {
        throw new ToroidError("TOR_REFUSED", "nothing else was live here before: name the build to go to");
      }
      if (state.live !== null && (await isNewer(id.repository, number, state.live.number, state.liveStanding))) {
        throw new ToroidError(
          "TOR_REFUSED",
          `#${number} is newer than #${state.live.number}, which is live: promote it`,
        );
      }
      const { reason: why, params: given } = body;
      const wish = { number, why, params: given, by: userOf(principal), rollback: true, key: `api-${randomUUID()}` };
      return reply.status(202).send(await deploy(params, wish));
    },
  );

  app.post(
    "/api/v1/environments/:owner/:repo/:environment/release",
    {
      config: { needs: "operate", action: "release" },
      schema: {
        params: environmentParams,
        body: optionalBody(z.object({ reason: reason.default("") })),
        response: { 200: environmentSummary },
      },
    },
    async ({ params, body, principal }) => {
      const id = environmentOf(history, params);
      const command = { kind: "release", by: userOf(principal), why: body.reason } as const;
      const { state } = await actors.environment.tell(id, command);
      return explainEnvironment(summaryOf(id, state, await widerPauses(actors, id)));
    },
  );
}
