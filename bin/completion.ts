/** What a shell is told when somebody presses Tab: commands and flags of the table, and what the coordinator has. */
import { type Complete, RootCommand, type Command as Suggested } from "@bomb.sh/tab";
import type { z } from "zod";
import { formatBuild, PLAN_STAGE, parseBuild } from "../protocol/ids.ts";
import type { BuildSummary } from "../protocol/summary.ts";
import { GROUPS, VERBS } from "./commands.ts";
import { GLOBALS } from "./program.ts";
import { buildList, executorList, repositoryList } from "./shapes.ts";
import { stateOf } from "./text/builds.ts";
import { SCRIPTS } from "./text/completion-scripts.ts";
import { oneLine } from "./text/output.ts";
import type { Context, Flag, Verb } from "./verb.ts";

/** Whoever pressed Tab does not wait longer. */
const PATIENCE_MS = 1_500;
const BUILDS = 50;

interface Known {
  readonly builds: readonly BuildSummary[];
  readonly repositories: readonly {
    readonly repository: string;
    readonly environments: readonly { readonly environment: string }[];
  }[];
  readonly executors: readonly { readonly id: string; readonly host: string }[];
}
const NOTHING: Known = { builds: [], repositories: [], executors: [] };

/** Prints suggestions for the last of `words`, which may be empty, as the scripts of `toroid completion` read them. */
export async function suggest(words: readonly string[], context: Context): Promise<void> {
  const verb = verbIn(words);
  const known = verb === undefined ? NOTHING : await knownOf(kindsOf(verb), context);
  const root = new RootCommand();
  for (const flag of GLOBALS) addFlag(root, flag);
  for (const [name, about] of Object.entries(GROUPS)) root.command(name, about);
  for (const one of VERBS) {
    const command = root.command(nameOf(one), one.summary);
    for (const flag of [...one.flags, ...GLOBALS]) addFlag(command, flag, known, words);
    for (const [at, of] of argumentsOf(one).entries()) {
      command.argument(`${at}`, (complete) => {
        for (const kind of of) offer(kind, known, words, complete);
      });
    }
  }
  root.parse([...words]);
}

/** `image ls` */
export function nameOf({ usage }: Verb): string {
  return /^[a-z -]*[a-z]/.exec(usage)?.[0] ?? usage;
}

/** Of `approve <build|repository> [environment]`: what each may be. */
function argumentsOf({ usage }: Verb): readonly (readonly string[])[] {
  return [...usage.matchAll(/[<[]([a-z|]+)[>\]]/g)].map(([, kinds = ""]) => kinds.split("|"));
}

function verbIn(words: readonly string[]): Verb | undefined {
  const plain = `${words.filter((word) => !word.startsWith("-")).join(" ")} `;
  return VERBS.find((verb) => plain.startsWith(`${nameOf(verb)} `));
}

/** All kinds of what may stand in its command line. */
function kindsOf(verb: Verb): readonly string[] {
  const named = verb.flags.some(({ flags }) => flags.startsWith("--environment")) ? ["environment"] : [];
  return [...argumentsOf(verb).flat(), ...named];
}

function addFlag(to: Suggested, { flags, about, choices }: Flag, known = NOTHING, words: readonly string[] = []): void {
  const [, short, long = "", value] = /^(?:-(\w), )?--([\w-]+)(?: <([^>]+)>)?/.exec(flags) ?? [];
  if (value === undefined) return void (short === undefined ? to.option(long, about) : to.option(long, about, short));
  const handler = (complete: Complete): void => {
    for (const choice of choices ?? []) complete(choice, "");
    if (long === "environment") offer("environment", known, words, complete);
  };
  to.option(long, about, handler, short);
}

function offer(kind: string, known: Known, words: readonly string[], complete: Complete): void {
  const { builds, repositories, executors } = known;
  const named = words.map((word) => parseBuild(word)?.repository ?? word);
  switch (kind) {
    case "repository":
      for (const { repository } of repositories) complete(repository, "repository");
      break;
    case "build":
      for (const one of builds) complete(formatBuild(one), `${stateOf(one)}  ${oneLine(one.commitMessage, 40)}`);
      break;
    case "environment": {
      const own = repositories.filter(({ repository }) => named.includes(repository));
      for (const { environments } of own.length > 0 ? own : repositories) {
        for (const { environment } of environments) complete(environment, "environment");
      }
      break;
    }
    case "stage": {
      const build = builds.find((one) => words.includes(formatBuild(one)));
      for (const { name } of build?.stages ?? []) if (name !== PLAN_STAGE) complete(name, "stage");
      break;
    }
    case "executor":
      for (const { id, host } of executors) complete(id, host);
      break;
    case "shell":
      for (const shell of Object.keys(SCRIPTS)) complete(shell, "");
  }
}

/** Nobody who presses Tab wants to read that there is no coordinator: then there is nothing to suggest. */
async function knownOf(kinds: readonly string[], { api }: Context): Promise<Known> {
  const needs = (...some: readonly string[]): boolean => some.some((kind) => kinds.includes(kind));
  const ask = async <T>(wanted: boolean, path: string, schema: z.ZodType<T>, otherwise: T): Promise<T> =>
    wanted
      ? api()
          .get(path, schema, PATIENCE_MS)
          .catch(() => otherwise)
      : otherwise;
  const [{ builds }, { repositories }, { executors }] = await Promise.all([
    ask(needs("build", "stage"), `api/v1/builds?limit=${BUILDS}`, buildList, { builds: [], next: null }),
    ask(needs("repository", "environment"), "api/v1/repositories", repositoryList, { repositories: [] }),
    ask(needs("executor"), "api/v1/executors", executorList, { executors: [] }),
  ]);
  return { builds, repositories, executors };
}
