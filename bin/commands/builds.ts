import { z } from "zod";
import { formatBuild } from "../../protocol/ids.ts";
import { type BuildSummary, buildSummary } from "../../protocol/summary.ts";
import { EXIT } from "../exit.ts";
import { changes, RESYNC } from "../follow-events.ts";
import { buildList } from "../shapes.ts";
import { countOf, repositoryOf } from "../text/arguments.ts";
import { buildLine, buildTable, stateOf } from "../text/builds.ts";
import { type Context, verb } from "../verb.ts";

const STATES = ["active", "planning", "running", "passed", "failed", "cancelled", "superseded", "skipped"] as const;
const state = z.enum(STATES, { error: `--state is one of ${STATES.join(", ")}` });

export const builds = verb({
  usage: "builds [repository]",
  summary: "list builds, newest first, with what each waits for; or follow them",
  more: "With -f, a line whenever one of them comes to another state, until Ctrl-C; with --json, the build itself.",
  examples: [
    "toroid builds acme/api --branch main",
    "toroid builds --state failed --author Ada --limit 5",
    "toroid builds -f acme/api",
  ],
  flags: [
    { flags: "--branch <name>", about: "of this branch" },
    { flags: "--state <state>", about: `in this state: ${STATES.join(", ")}`, choices: STATES },
    { flags: "--author <name>", about: "whose commit has this author, by the whole name" },
    { flags: "--limit <number>", about: "how many (30, 100 at most)" },
    { flags: "--before <place>", about: "go on where an earlier list ended" },
    { flags: "-f, --follow", about: "show what changes from now on" },
  ],
  options: z.object({
    branch: z.string().min(1, "--branch is empty").optional(),
    state: state.optional(),
    author: z.string().min(1, "--author is empty").optional(),
    limit: z.string().default("30"),
    before: z.string().min(1, "--before is empty").optional(),
    follow: z.boolean().default(false),
  }),
  async run(context, [text], { limit, before, follow, ...filter }) {
    const repository = text === undefined ? null : repositoryOf(text);
    const wanted = Object.entries({ repository, ...filter }).filter(
      (one): one is [string, string] => typeof one[1] === "string",
    );
    const query = new URLSearchParams({ ...Object.fromEntries(wanted), limit: String(countOf("--limit", limit)) });
    if (follow) return followBuilds(context, query, { repository, ...filter });
    if (before !== undefined) query.set("before", before);
    return listBuilds(context, query, text);
  },
});

interface Filter {
  readonly repository: string | null;
  readonly branch?: string | undefined;
  readonly state?: string | undefined;
  readonly author?: string | undefined;
}

async function listBuilds(context: Context, query: URLSearchParams, repository = ""): Promise<number> {
  const { api, json, out, err, colours } = context;
  const page = await api().get(`api/v1/builds?${query.toString()}`, buildList);
  if (json) await out(`${JSON.stringify(page)}\n`);
  else if (page.builds.length > 0) await out(buildTable(page.builds, Date.now(), colours));
  else err("no such builds");
  if (!json && page.next !== null && page.builds.length > 0) {
    err(`more: toroid builds ${[repository, "--before", page.next].join(" ").trim()} (and the same filters)`);
  }
  return EXIT.ok;
}

/** What is there, oldest first, then each change of state. What was missed meanwhile is read afresh. */
async function followBuilds(context: Context, query: URLSearchParams, filter: Filter): Promise<number> {
  const shown = new Map<string, string>();
  const show = async (build: BuildSummary): Promise<void> => {
    const key = formatBuild(build);
    const now = `${stateOf(build)} ${build.waiting}`;
    if (shown.get(key) === now) return;
    shown.set(key, now);
    const { json, out, colours } = context;
    await out(json ? `${JSON.stringify(build)}\n` : buildLine(build, colours));
  };
  for await (const { event, data } of changes(context, null)) {
    if (event === RESYNC) {
      const { builds: there } = await context.api().get(`api/v1/builds?${query.toString()}`, buildList);
      for (const build of there.toReversed()) await show(build);
    }
    const build = buildSummary.safeParse(data);
    if (event === "build" && build.success && isWanted(build.data, filter, shown)) await show(build.data);
  }
  throw new Error("the stream of changes has no end");
}

/** One that was shown in the state that is asked for is shown once more when it leaves it. */
function isWanted(build: BuildSummary, filter: Filter, shown: ReadonlyMap<string, string>): boolean {
  if (filter.repository !== null && build.repository !== filter.repository) return false;
  if (filter.branch !== undefined && build.branch !== filter.branch) return false;
  if (filter.author !== undefined && folded(build.author) !== folded(filter.author)) return false;
  return filter.state === undefined || isIn(build, filter.state) || shown.has(formatBuild(build));
}

/** As the coordinator understands it: `active` is whatever has not ended. */
function isIn(build: BuildSummary, wanted: string): boolean {
  return wanted === "active" ? build.status !== "finished" : stateOf(build) === wanted;
}

/** The name, in whatever case, without an address behind it. */
function folded(author: string): string {
  return author.replace(/ <[^<>]*>$/, "").toLowerCase();
}
