import { z } from "zod";
import { type BuildId, parseBuild } from "../../protocol/ids.ts";
import { buildSummary } from "../../protocol/summary.ts";
import { buildPath } from "../api.ts";
import { EXIT } from "../exit.ts";
import { buildList, repositoryList } from "../shapes.ts";
import { countOf, repositoryOf } from "../text/arguments.ts";
import { buildReport, buildTable, environmentTable } from "../text/builds.ts";
import { type Context, verb } from "../verb.ts";

export const status = verb({
  usage: "status [repository|build]",
  summary: "what runs, what is live, what waits and why; of everything, a repository, or one build",
  examples: [
    "toroid status",
    "toroid status acme/api",
    "toroid status acme/api#42                 (exits with 1 when that build failed)",
  ],
  flags: [{ flags: "--limit <number>", about: "how many builds to list (10)" }],
  options: z.object({ limit: z.string().default("10") }),
  async run(context, [what], options) {
    const build = what === undefined ? null : parseBuild(what);
    if (build !== null) return statusOfBuild(context, build);
    return statusOfMany(context, what === undefined ? null : repositoryOf(what), countOf("--limit", options.limit));
  },
});

async function statusOfBuild({ api, json, out, colours }: Context, id: BuildId): Promise<number> {
  const build = await api().get(buildPath(id), buildSummary);
  await out(json ? `${JSON.stringify(build)}\n` : buildReport(build, Date.now(), colours));
  return build.outcome === "failed" ? EXIT.failed : EXIT.ok;
}

async function statusOfMany(context: Context, repository: string | null, limit: number): Promise<number> {
  const { api, json, out, err, colours } = context;
  const query = new URLSearchParams({ limit: String(limit), ...(repository === null ? {} : { repository }) });
  const [{ builds }, { repositories }] = await Promise.all([
    api().get(`api/v1/builds?${query.toString()}`, buildList),
    api().get("api/v1/repositories", repositoryList),
  ]);
  const shown = repositories.filter((r) => repository === null || r.repository === repository);
  if (json) {
    await out(`${JSON.stringify({ repositories: shown, builds })}\n`);
    return EXIT.ok;
  }
  const environments = shown.flatMap((r) => r.environments);
  if (environments.length > 0) await out(`${environmentTable(environments, colours)}\n`);
  if (builds.length > 0) await out(buildTable(builds, Date.now(), colours));
  else err(repository === null ? "nothing has been built yet" : `${repository} has no builds`);
  return EXIT.ok;
}
