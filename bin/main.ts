import { Command, CommanderError } from "commander";
import { sentenceOf, ToroidError } from "../protocol/errors.ts";
import { printable } from "../protocol/pipeline/text-rules.ts";
import { openApi } from "./api.ts";
import { askAt } from "./ask.ts";
import { GROUPS, VERBS } from "./commands.ts";
import { EXIT, exitOf, Failure, usageError } from "./exit.ts";
import { asLines, write } from "./text/output.ts";
import type { Context, Verb } from "./verb.ts";

const DEFAULT_SERVER = "http://127.0.0.1:7433";
const EXIT_CODES =
  "Exit codes: 0 ok, 1 build or deploy failed, 2 usage or configuration, 3 not allowed, 4 not found, 5 paused or blocked, 6 server or network, 130 interrupted.";

interface Globals {
  readonly json?: boolean;
  readonly server?: string;
  readonly as?: string;
}

/** Runs one command line; answers the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  endWithTheReader();
  let exit: number = EXIT.ok;
  const program = programOf((code) => (exit = code));
  try {
    await program.parseAsync(args, { from: "user" });
    return exit;
  } catch (error) {
    return report(error, args.includes("--json"));
  }
}

function programOf(ended: (code: number) => void): Command {
  const program = new Command("toroid")
    .description("CI for AWS teams: push, and your script runs at once in a clean machine of its own.")
    .option("--json", "data for programs on standard output; one object a line when following")
    .option("--server <url>", `the coordinator (default: TOROID_URL, or ${DEFAULT_SERVER})`)
    .option("--as <name>", "who acts, for the record (default: TOROID_USER, or your login name)")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: (text, out) => out(text.replace(/^error: /, "toroid: ")) })
    .showHelpAfterError("(toroid --help lists the commands)")
    .addHelpText("after", `\n${EXIT_CODES}`)
    .helpCommand(false)
    .exitOverride();
  for (const verb of VERBS) addVerb(program, verb, ended);
  return program;
}

function addVerb(program: Command, verb: Verb, ended: (code: number) => void): void {
  const [group, usage] = placeOf(verb);
  const command = (group === null ? program : groupOf(program, group))
    .command(usage)
    .description(verb.summary)
    .allowExcessArguments(false);
  for (const { flags, about, many } of verb.flags) {
    if (many) command.option(flags, about, (value: string, before: readonly string[]) => [...before, value], []);
    else command.option(flags, about);
  }
  if (verb.more !== undefined) command.addHelpText("after", `\n${verb.more}`);
  command.action(async (...given: unknown[]) => {
    const args = given.slice(0, command.registeredArguments.length).map((arg) => arg as string | undefined);
    const options = verb.options.safeParse(command.opts());
    if (!options.success) throw usageError(options.error.issues[0]?.message ?? "an option is wrong");
    ended(await verb.run(contextOf(program.opts<Globals>()), args, options.data));
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

function contextOf({ json = false, server, as }: Globals): Context {
  const environment = process.env;
  const { SUDO_USER, USER } = environment;
  const who = as || environment["TOROID_USER"] || SUDO_USER || USER || null;
  return {
    json,
    environment,
    colours: process.stdout.isTTY && process.stdout.hasColors(),
    out: (data) => write(process.stdout, data),
    err: (line) => void process.stderr.write(`${line}\n`),
    api: () => openApi(server ?? (environment["TOROID_URL"] || DEFAULT_SERVER), who),
    ask: () => askAt(process.stdin, process.stderr),
    interrupted: interruption(),
  };
}

/** One signal, however often it is asked for. */
function interruption(): () => AbortSignal {
  let controller: AbortController | null = null;
  return () => {
    if (controller !== null) return controller.signal;
    const made = new AbortController();
    controller = made;
    process.once("SIGINT", () => made.abort(new Failure(EXIT.interrupted, "TOR_INTERRUPTED", "interrupted")));
    return made.signal;
  };
}

/** One sentence and its code, on standard error; with `--json`, the error of the HTTP API. */
function report(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const ours = error instanceof Failure || error instanceof ToroidError;
  const code = ours ? error.code : "TOR_INTERNAL";
  const message = sentenceOf(error);
  if (json) console.error(JSON.stringify({ code, message }));
  else console.error(`toroid: ${asLines(message).map(printable).join("\n")} (${code})`);
  if (!ours && !isOfTheMachine(error)) console.error(error);
  return exitOf(error);
}

/** Says enough by itself, with its path; where in our code it came up helps nobody. */
function isOfTheMachine(error: unknown): boolean {
  const codes = ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM"];
  return error instanceof Error && "code" in error && codes.some((code) => code === error.code);
}

/** `toroid logs … | head`: who reads us has seen enough. */
function endWithTheReader(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.server);
  });
}
