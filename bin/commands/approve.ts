import { z } from "zod";
import { type BuildId, formatBuild, parseBuild } from "../../protocol/ids.ts";
import type { EnvironmentSummary, WaitingSummary } from "../../protocol/summary.ts";
import { environmentSummary } from "../../protocol/summary.ts";
import { environmentPath } from "../api.ts";
import { EXIT, Failure, usageError } from "../exit.ts";
import { buildList, repositoryList } from "../shapes.ts";
import { repositoryOf } from "../text/arguments.ts";
import { approvalReport, environmentLine } from "../text/environment.ts";
import { type Context, verb } from "../verb.ts";

/** As many builds as are listed of what would change. */
const BUILDS_SHOWN = 20;

export const approve = verb({
  usage: "approve <build|repository> [environment]",
  summary: "let a stage go that waits for approval, or reject it",
  examples: [
    "toroid approve acme/api#42                (where it waits for approval)",
    "toroid approve acme/api prod --show       (what waits there, and what would change)",
    'toroid approve acme/api#42 prod --reject --reason "the migration is missing"',
  ],
  flags: [
    { flags: "--reject", about: "it does not go" },
    { flags: "--reason <text>", about: "why, for the record" },
    { flags: "--team <name>", about: "in whose name, where the file names a team" },
    { flags: "--show", about: "say what would change, and decide nothing" },
  ],
  options: z.object({
    reject: z.boolean().default(false),
    reason: z.string().trim().min(1, "--reason is empty").optional(),
    team: z.string().trim().min(1, "--team is empty").optional(),
    show: z.boolean().default(false),
  }),
  async run(context, [what, environment], { reject, reason = "", team, show }) {
    const { api, json, out } = context;
    const asked = await askedFor(context, what, environment);
    if (show) return showChange(context, asked);
    const { number, round } = asked.waiting;
    const { repository, environment: name } = asked.environment;
    const decision = reject ? "reject" : "approve";
    const body = { build: number, round, decision, reason, ...(team === undefined ? {} : { team }) };
    const now = await api().post(`${environmentPath(repository, name)}/approvals`, body, environmentSummary);
    const said = `${formatBuild({ repository, number })} ${reject ? "rejected" : "approved"} for ${name}`;
    await out(json ? `${JSON.stringify(now)}\n` : `${said}\n${environmentLine(now)}\n`);
    return EXIT.ok;
  },
});

interface Asked {
  readonly environment: EnvironmentSummary;
  readonly waiting: WaitingSummary;
}

/** The one thing that waits for approval and is meant; a sentence when there is none, or more than one. */
async function askedFor({ api }: Context, what: string | undefined, name: string | undefined): Promise<Asked> {
  const build: BuildId | null = parseBuild(what ?? "");
  const repository = build?.repository ?? repositoryOf(what);
  const { repositories } = await api().get("api/v1/repositories", repositoryList);
  const environments = repositories.find((one) => one.repository === repository)?.environments ?? [];
  const found = environments
    .filter((one) => name === undefined || one.environment === name)
    .flatMap((environment) => environment.waiting.map((waiting) => ({ environment, waiting })))
    .filter(({ waiting }) => waiting.approval !== null && (build === null || waiting.number === build.number));
  const [first, ...more] = found;
  const meant = `${what ?? ""}${name === undefined ? "" : ` ${name}`}`;
  if (first === undefined) {
    throw new Failure(EXIT.blocked, "TOR_CONFLICT", `nothing of ${meant} waits for approval`);
  }
  if (more.length > 0) {
    const list = found.map(({ environment, waiting }) => `#${waiting.number} ${environment.environment}`).join(", ");
    throw usageError(`several of ${meant} wait for approval: ${list}; name the build and the environment`);
  }
  return first;
}

async function showChange({ api, json, out }: Context, { environment, waiting }: Asked): Promise<number> {
  const { repository, live } = environment;
  const query = new URLSearchParams({
    repository,
    before: String(waiting.number + 1),
    limit: String(BUILDS_SHOWN),
  });
  const { builds } = await api().get(`api/v1/builds?${query.toString()}`, buildList);
  const brought = builds.filter(({ number }) => live === null || number > live.number);
  await out(
    json
      ? `${JSON.stringify({ environment, waiting, builds: brought })}\n`
      : approvalReport(environment, waiting, brought),
  );
  return EXIT.ok;
}
