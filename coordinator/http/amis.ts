import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { amiList, clearing } from "../../protocol/ami-summary.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { optionalBody } from "./builds.ts";
import type { HttpParts } from "./ports.ts";
import { readableTo, userOf } from "./user.ts";

const query = z.object({
  repository: z.string().max(200).optional(),
  build: z.coerce.number().int().positive().optional(),
  id: z.string().max(100).optional(),
});

/** AMIs that this Toroid baked, as EC2 has them now; and clearing what is of no use. */
export function amiRoutes(plain: FastifyInstance, { keeper, log }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  function refuseWithoutRegions(): void {
    if (keeper.regions.length > 0) return;
    const why = "no region is configured: give the coordinators TOROID_AMI_REGIONS, such as eu-west-1,us-east-1";
    throw new ToroidError("TOR_REFUSED", why);
  }

  app.get(
    "/api/v1/amis",
    { config: { needs: "read" }, schema: { querystring: query, response: { 200: amiList } } },
    async (request) => {
      refuseWithoutRegions();
      const { repository, build, id } = request.query;
      const readable = readableTo(request.principal);
      const amis = (await keeper.list()).filter(
        (one) =>
          (readable === null || readable(one.repository)) &&
          (repository === undefined || one.repository === repository) &&
          (build === undefined || one.number === build || one.builds.includes(build)) &&
          (id === undefined || one.images.some((image) => image.id === id)),
      );
      return { amis };
    },
  );

  app.post(
    "/api/v1/amis/gc",
    {
      config: { needs: "admin", action: "clear AMIs" },
      schema: {
        body: optionalBody(z.object({ dryRun: z.boolean().default(false) })),
        response: { 200: clearing },
      },
    },
    async ({ body: { dryRun }, principal }) => {
      refuseWithoutRegions();
      const report = await keeper.clear({ dryRun });
      if (!dryRun)
        log.info({ by: userOf(principal), gone: report.gone.map(({ id }) => id) }, "AMIs cleared by a person");
      return report;
    },
  );
}
