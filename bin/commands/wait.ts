import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { type BuildId, formatBuild, PLAN_STAGE, parseBuild } from "../../protocol/ids.ts";
import { type BuildSummary, buildSummary, type StageSummary } from "../../protocol/summary.ts";
import { buildPath } from "../api.ts";
import { EXIT, Failure, usageError } from "../exit.ts";
import { buildList } from "../shapes.ts";
import { durationOf, repositoryOf } from "../text/arguments.ts";
import { stateOf } from "../text/builds.ts";
import { coloured, oneLine } from "../text/output.ts";
import { Progress } from "../text/progress.ts";
import { type Context, verb } from "../verb.ts";

const LOOK_MS = 500;
/** How often in a row the coordinator may fail to answer. */
const TRIES = 20;
/** In how many of the newest builds a commit is looked for. */
const SEARCHED = 100;

export const wait = verb({
  usage: "wait <build|repository>",
  summary: "wait until a build has ended, or an environment of it, and say how",
  more: [
    "Of a repository, the build of --commit, which may not have come yet. What it waits for is said on standard error.",
    "Exits with 0 when it passed, 1 when it did not, 124 after --timeout. A build that waits for approval has not ended.",
  ].join("\n"),
  examples: [
    "toroid wait acme/api#42",
    'git push && toroid wait acme/api --commit "$(git rev-parse HEAD)" --timeout 30m',
    "toroid wait acme/api#42 --environment stage",
  ],
  flags: [
    { flags: "--commit <sha>", about: "the newest build of this commit" },
    { flags: "--environment <name>", about: "wait for the build's stage there only" },
    { flags: "--timeout <duration>", about: "how long at most, as 30m (for as long as it takes)" },
  ],
  options: z.object({
    commit: z
      .string()
      .regex(/^[0-9a-f]{7,64}$/, "--commit is the name of a commit: 7 or more of its hex digits")
      .optional(),
    environment: z.string().optional(),
    timeout: z.string().optional(),
  }),
  async run(context, [what], { commit, environment, timeout }) {
    const { json, out, colours } = context;
    const build = parseBuild(what ?? "");
    if (build !== null && commit !== undefined) throw usageError("a build has its commit: leave out --commit");
    if (build === null && commit === undefined) {
      throw usageError(`${JSON.stringify(what ?? "")} is not a build: write owner/name#number, or add --commit`);
    }
    const until = timeout === undefined ? null : performance.now() + durationOf("--timeout", timeout);
    const watch = new Watch(context, until);
    const id = build ?? (await watch.find(repositoryOf(what), commit ?? ""));
    const ended = await watch.end(id, environment ?? null);
    const { state, message } = ended;
    const place = `${formatBuild(id)}${environment === undefined ? "" : ` ${environment}`}`;
    const why = message === "" ? "" : `: ${oneLine(message, 200)}`;
    await out(json ? `${JSON.stringify(ended.build)}\n` : `${place} ${coloured(state, colours)}${why}\n`);
    return state === "passed" || state === "skipped" ? EXIT.ok : EXIT.failed;
  },
});

interface Ended {
  readonly build: BuildSummary;
  readonly state: string;
  readonly message: string;
}

class Watch {
  readonly #context: Context;
  readonly #untilMs: number | null;
  readonly #signal: AbortSignal;

  constructor(context: Context, untilMs: number | null) {
    this.#context = context;
    this.#untilMs = untilMs;
    this.#signal = context.interrupted();
  }

  /** The newest build of a commit, once it is there. */
  async find(repository: string, commit: string): Promise<BuildId> {
    const query = new URLSearchParams({ repository, limit: String(SEARCHED) });
    return this.#until(`a build of ${commit.slice(0, 12)} in ${repository}`, async (say) => {
      const { builds } = await this.#context.api().get(`api/v1/builds?${query.toString()}`, buildList);
      const found = builds.find((one) => one.commit?.startsWith(commit) === true);
      if (found !== undefined) return found;
      say(`${repository}: no build of ${commit.slice(0, 12)} yet`);
      return null;
    });
  }

  async end(id: BuildId, environment: string | null): Promise<Ended> {
    return this.#until(formatBuild(id), async (say) => {
      const build = await this.#context.api().get(buildPath(id), buildSummary);
      const stage = environment === null ? null : newest(build, environment);
      if (stage !== null && stage.outcome !== null) {
        return { build, state: stage.outcome, message: stage.message };
      }
      if (build.status === "finished") {
        if (environment === null) return { build, state: stateOf(build), message: build.message };
        const what = `${formatBuild(id)} has ended (${stateOf(build)}) and has no ${environment}`;
        throw new Failure(EXIT.notFound, "TOR_NOT_FOUND", what);
      }
      say(progressOf(build, stage));
      return null;
    });
  }

  /** Looks again and again; a coordinator that is away for a moment does not end it. */
  async #until<T>(what: string, look: (say: (line: string) => void) => Promise<T | null>): Promise<T> {
    using progress = new Progress(process.stderr);
    for (let failures = 0; ; ) {
      try {
        const found = await look((line) => progress.show(line));
        if (found !== null) return found;
        failures = 0;
      } catch (error) {
        this.#signal.throwIfAborted();
        failures += 1;
        if (!(error instanceof Failure) || error.exit !== EXIT.server || failures >= TRIES) throw error;
        progress.show("the coordinator does not answer, trying again");
      }
      if (this.#untilMs !== null && performance.now() >= this.#untilMs) {
        throw new Failure(EXIT.late, "TOR_WAIT_TIMEOUT", `${what} has not ended in time: it was waited for no longer`);
      }
      const leftMs = this.#untilMs === null ? LOOK_MS : Math.max(0, this.#untilMs - performance.now());
      const pauseMs = Math.min(LOOK_MS, leftMs);
      await delay(pauseMs, undefined, { signal: this.#signal }).catch(() => this.#signal.throwIfAborted());
    }
  }
}

function newest(build: BuildSummary, environment: string): StageSummary | null {
  return build.stages.filter((one) => one.environment === environment).toSorted((a, b) => b.round - a.round)[0] ?? null;
}

/** `acme/api#42 running: build, test`, or what it waits for. */
function progressOf(build: BuildSummary, stage: StageSummary | null): string {
  const why = stage?.waiting || build.waiting;
  if (why !== "") return `${formatBuild(build)} waits: ${oneLine(why, 200)}`;
  const running = build.stages.filter(({ status }) => status === "claimed" || status === "running");
  const names = running.map(({ name }) => (name === PLAN_STAGE ? "the plan" : oneLine(name))).join(", ");
  return `${formatBuild(build)} ${stateOf(build)}${names === "" ? "" : `: ${names}`}`;
}
