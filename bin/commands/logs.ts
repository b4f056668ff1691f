import { z } from "zod";
import { type BuildId, formatBuild, formatStage, PLAN_STAGE } from "../../protocol/ids.ts";
import { didYouMean, listed } from "../../protocol/pipeline/suggest.ts";
import { type BuildSummary, buildSummary, type StageSummary } from "../../protocol/summary.ts";
import { buildPath } from "../api.ts";
import { EXIT, Failure } from "../exit.ts";
import { type Followed, followLog, logPath, POLL_MS, pause, removedText } from "../follow-log.ts";
import { buildOf, countOf } from "../text/arguments.ts";
import { type Context, verb } from "../verb.ts";

export const logs = verb({
  usage: "logs <build> [stage]",
  summary: "print what a stage wrote, as it wrote it",
  more: [
    "Without a stage: the one that runs, else the one that failed, else the last one that ran, else the first.",
    "With -f, waits for more until the stage ended, and exits with 1 when it failed.",
  ].join("\n"),
  examples: ["toroid logs acme/api#42", "toroid logs -f acme/api#42 prod"],
  flags: [
    { flags: "-f, --follow", about: "go on until the stage ended" },
    { flags: "--round <number>", about: "which round of an environment (the last)" },
    { flags: "--attempt <number>", about: "which attempt (the last)" },
  ],
  options: z.object({
    follow: z.boolean().default(false),
    round: z.string().optional(),
    attempt: z.string().optional(),
  }),
  async run(context, [text, name], options) {
    const id = buildOf(text);
    const build = options.follow && name === undefined ? await planned(context, id) : await buildNow(context, id);
    const round = options.round === undefined ? null : countOf("--round", options.round);
    const stage = stageOf(build, name ?? null, round);
    const attempt = options.attempt === undefined ? stage.attempt : countOf("--attempt", options.attempt);
    const log = { ...id, stage: stage.name, round: stage.round, attempt };
    if (options.follow || context.json) return followLog(context, log, options.follow);
    return printLog(context, stage, log);
  },
});

function buildNow({ api }: Context, id: BuildId): Promise<BuildSummary> {
  return api().get(buildPath(id), buildSummary);
}

/** Which stages it has is known once it has a plan: nobody means to follow that, who has just pushed. */
async function planned(context: Context, id: BuildId): Promise<BuildSummary> {
  for (;;) {
    const build = await buildNow(context, id);
    if (build.status !== "planning") return build;
    await pause(POLL_MS, context.interrupted());
  }
}

async function printLog({ api, out, err, interrupted }: Context, stage: StageSummary, log: Followed): Promise<number> {
  if (log.attempt === 0) {
    err(`${formatStage(log)} has written nothing: ${stage.waiting || stage.message || stage.status}`);
    return EXIT.ok;
  }
  const bytes = await api().stream(logPath(log, false), { accept: "text/plain" }, interrupted(), (headers) => {
    const removed = Number(headers.get("toroid-log-removed-bytes") ?? 0);
    if (removed > 0) err(removedText(removed, headers.get("toroid-log-removed-since")));
  });
  for await (const chunk of bytes) await out(chunk);
  return EXIT.ok;
}

/** The stage that is meant; its newest round unless one is named. */
export function stageOf(build: BuildSummary, name: string | null, round: number | null): StageSummary {
  const own = build.stages.filter((s) => s.name !== PLAN_STAGE);
  const named = name === null ? (own.length > 0 ? own : build.stages) : build.stages.filter((s) => s.name === name);
  if (name !== null && named.length === 0) {
    const names = [...new Set(build.stages.map((s) => s.name))];
    const hint = didYouMean(name, names) ?? (names.length === 0 ? "it has none yet" : `it has ${listed(names, "and")}`);
    throw new Failure(EXIT.notFound, "TOR_NOT_FOUND", `${formatBuild(build)} has no stage ${name}: ${hint}`);
  }
  const candidates = named.filter((s) => round === null || s.round === round);
  const found =
    candidates.findLast((s) => name !== null || s.status === "running") ??
    candidates.findLast((s) => s.outcome === "failed" || s.outcome === "timedOut" || s.outcome === "errored") ??
    candidates.findLast((s) => s.attempt > 0) ??
    candidates[0];
  if (found !== undefined) return found;
  const what = round === null ? "no stages yet" : `no round ${round}${name === null ? "" : ` of ${name}`}`;
  throw new Failure(EXIT.notFound, "TOR_NOT_FOUND", `${formatBuild(build)} has ${what}`);
}
