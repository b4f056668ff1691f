import type { Format } from "badge-maker";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { searchBuilds } from "../projections/build-search.ts";
import { repositoryParams } from "./builds.ts";
import type { HttpParts } from "./ports.ts";

const COLOURS: Readonly<Record<string, string>> = {
  passed: "brightgreen",
  failed: "red",
  cancelled: "lightgrey",
  superseded: "lightgrey",
  skipped: "lightgrey",
};
const MOST_CHARACTERS = 40;

/** `/badge/acme/api/main.svg`: how the newest build of a branch that ended did, or what is live in an environment. */
export function badgeRoutes(plain: FastifyInstance, { history, lanes }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  async function ofBranch(repository: string, branch: string): Promise<Format> {
    const repositories = history.repositories().filter((one) => one.repository === repository);
    const filter = { branch, state: "ended", author: null } as const;
    const [build] = (await searchBuilds(history, repositories, filter, null, 1)).builds;
    const outcome = build?.outcome ?? null;
    if (outcome === null) return { label: short(branch), message: "unknown", color: "lightgrey" };
    return { label: short(branch), message: outcome, color: COLOURS[outcome] ?? "lightgrey" };
  }

  function ofEnvironment(repository: string, environment: string): Format {
    const found = lanes.list(repository).find((one) => one.environment === environment);
    const live = found?.live ?? null;
    const label = short(environment);
    if (found === undefined || live === null) return { label, message: "nothing", color: "lightgrey" };
    const [paused, color] = found.paused === null ? ["", "blue"] : [", paused", "orange"];
    return { label, message: `#${live.number} ${live.commit.slice(0, 7)}${paused}`, color };
  }

  app.get(
    "/badge/:owner/:repo/*",
    {
      config: { needs: "read" },
      schema: {
        params: repositoryParams.extend({ "*": z.string().min(1).max(500) }),
        querystring: z.object({
          /** Shows this instead of a branch. */
          environment: z.string().min(1).max(200).optional(),
        }),
      },
    },
    async ({ params, query }, reply) => {
      const repository = `${params.owner}/${params.repo}`;
      const branch = params["*"].replace(/\.svg$/, "");
      const badge =
        query.environment === undefined
          ? await ofBranch(repository, branch)
          : ofEnvironment(repository, query.environment);
      // Fourteen megabytes, for those alone who show some.
      const { makeBadge } = await import("badge-maker");
      // Whoever shows it elsewhere keeps it otherwise for hours.
      void reply.header("cache-control", "no-cache");
      return reply.type("image/svg+xml; charset=utf-8").send(makeBadge(badge));
    },
  );
}

function short(text: string): string {
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS - 1)}…` : text;
}
