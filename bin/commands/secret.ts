import { z } from "zod";
import { type BuildId, formatBuild, parseBuild } from "../../protocol/ids.ts";
import { plan } from "../../protocol/work.ts";
import { buildPath } from "../api.ts";
import { EXIT, Failure } from "../exit.ts";
import { buildList } from "../shapes.ts";
import { repositoryOf } from "../text/arguments.ts";
import { oneLine, table } from "../text/output.ts";
import { type Context, verb } from "../verb.ts";

const config = z.looseObject({ plan });

interface Asked {
  readonly secret: string;
  readonly stage: string;
  /** Where an executor looks for it, below TOROID_SECRETS; the first that is there counts. */
  readonly files: readonly string[];
}

export const secretLs = verb({
  usage: "secret ls <build|repository>",
  summary: "which secrets a build's stages ask for, and the files that executors look for",
  more: [
    "Of a repository: its newest build. Values are files below TOROID_SECRETS of the executors, which nobody else can",
    "read or write: so there is no `secret set` and no `secret rm`. The manual has the lines that do it on a host.",
  ].join("\n"),
  examples: ["toroid secret ls acme/api", "toroid secret ls acme/api#42 --json"],
  flags: [],
  options: z.object({}),
  async run(context, [what]) {
    const { api, json, out, err } = context;
    const id = parseBuild(what ?? "") ?? (await newestOf(context, repositoryOf(what)));
    const { stages } = (await api().get(`${buildPath(id)}/config`, config)).plan;
    const asked = stages.flatMap(({ name, environment, secrets, publishSecrets }) =>
      [...new Set([...secrets, ...publishSecrets])].map((secret) => askedFor(id, secret, name, environment)),
    );
    if (json) await out(`${JSON.stringify({ build: formatBuild(id), secrets: asked })}\n`);
    else if (asked.length === 0) err(`${formatBuild(id)} asks for no secrets`);
    else await out(tableOf(asked));
    return EXIT.ok;
  },
});

function askedFor({ repository }: BuildId, secret: string, stage: string, environment: string | null): Asked {
  const own = environment === null ? [] : [`${repository}/${environment}/${secret}`];
  return { secret, stage, files: [...own, `${repository}/${secret}`] };
}

function tableOf(asked: readonly Asked[]): string {
  const rows = asked.map(({ secret, stage, files }) => [secret, oneLine(stage), files.join(", else ")]);
  return table([["SECRET", "STAGE", "FILE BELOW TOROID_SECRETS"], ...rows]);
}

async function newestOf({ api }: Context, repository: string): Promise<BuildId> {
  const query = new URLSearchParams({ repository, limit: "10" });
  const { builds } = await api().get(`api/v1/builds?${query.toString()}`, buildList);
  const planned = builds.find(({ status, stages }) => status !== "planning" && stages.length > 1);
  if (planned !== undefined) return planned;
  throw new Failure(EXIT.notFound, "TOR_NOT_FOUND", `${repository} has no build with a plan among its newest`);
}
