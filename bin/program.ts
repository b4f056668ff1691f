/** The table of commands as a program of commander: arguments, options, help. */
import { Command } from "commander";
import { GROUPS, VERBS } from "./commands.ts";
import { EXIT_MEANINGS } from "./exit.ts";
import type { Flag, Verb } from "./verb.ts";

export const DEFAULT_SERVER = "http://127.0.0.1:7433";
/** Of every command: flags, and what they are about. */
export const GLOBALS: readonly Flag[] = [
  { flags: "--json", about: "data for programs on standard output; one object a line when following" },
  { flags: "--server <url>", about: `the coordinator (default: TOROID_URL, or ${DEFAULT_SERVER})` },
  { flags: "--as <name>", about: "who acts, for the record (default: TOROID_AS, or your login name)" },
];
const DOCUMENTED = Object.entries(EXIT_MEANINGS)
  .map(([code, meaning]) => `${code} ${meaning}`)
  .join(", ");

/** Options of every command. */
export interface Globals {
  readonly json?: boolean;
  readonly server?: string;
  readonly as?: string;
}

/** What is to be done with a command line that could be read. */
export type Act = (
  verb: Verb,
  globals: Globals,
  args: readonly (string | undefined)[],
  options: unknown,
) => Promise<void>;

/** @param quiet the caller says what is wrong with the command line */
export function programOf(act: Act, quiet = false): Command {
  const program = new Command("toroid")
    .description("CI for AWS teams: push, and your script runs at once in a clean machine of its own.")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: (text, out) => (quiet ? undefined : out(text.replace(/^error: /, "toroid: "))) })
    .showHelpAfterError(quiet ? false : "(toroid --help lists the commands)")
    .addHelpText("after", "\nExamples:\n  toroid status\n  toroid logs -f acme/api#42")
    .addHelpText("afterAll", `\nExit codes: ${DOCUMENTED}.`)
    .helpCommand(false)
    .exitOverride();
  for (const { flags, about } of GLOBALS) program.option(flags, about);
  for (const verb of VERBS) addVerb(program, verb, act);
  return program;
}

function addVerb(program: Command, verb: Verb, act: Act): void {
  const [group, usage] = placeOf(verb);
  const command = (group === null ? program : groupOf(program, group))
    .command(usage)
    .description(verb.summary)
    .allowExcessArguments(false);
  for (const { flags, about, many } of verb.flags) {
    if (many) command.option(flags, about, (value: string, before: readonly string[]) => [...before, value], []);
    else command.option(flags, about);
  }
  if (verb.extras !== undefined) command.usage(`[options] ${usage.replace(/^\S+ ?/, "")} [-- words...]`);
  const parts = [verb.more, verb.extras === undefined ? undefined : `Behind \`--\`: ${verb.extras}.`];
  for (const part of parts) if (part !== undefined) command.addHelpText("after", `\n${part}`);
  command.addHelpText("after", `\nExamples:\n${verb.examples.map((one) => `  ${one}`).join("\n")}`);
  command.action(async (...given: unknown[]) => {
    const args = given.slice(0, command.registeredArguments.length).map((arg) => arg as string | undefined);
    await act(verb, program.opts<Globals>(), args, command.opts());
  });
}

/** `ami ls [repository]` is the command `ls [repository]` of the group `ami`. */
function placeOf({ usage }: Verb): readonly [group: string | null, usage: string] {
  const [group = "", name = ""] = usage.split(" ");
  return /^[a-z]/.test(name) ? [group, usage.slice(group.length + 1)] : [null, usage];
}

function groupOf(program: Command, name: string): Command {
  const known = program.commands.find((one) => one.name() === name);
  if (known !== undefined) return known;
  return program
    .command(name)
    .description(GROUPS[name] ?? "")
    .helpCommand(false);
}

/** Splits at the first `--` where the command has a use for what stands behind it. */
export function splitExtras(words: readonly string[]): readonly [args: readonly string[], extras: readonly string[]] {
  const at = words.indexOf("--");
  if (at < 0) return [words, []];
  const before = words.slice(0, at);
  const name = before.find((word, i) => !word.startsWith("-") && !["--server", "--as"].includes(before[i - 1] ?? ""));
  const takes = VERBS.some(({ usage, extras }) => extras !== undefined && usage.split(" ")[0] === name);
  return takes ? [before, words.slice(at + 1)] : [words, []];
}

/** Of a command line that is not complete yet. */
export function globalsIn(words: readonly string[]): Globals {
  const at = words.indexOf("--server");
  const server = words[at + 1];
  return at < 0 || server === undefined || server === "" ? {} : { server };
}
