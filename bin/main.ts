import { CommanderError } from "commander";
import { sentenceOf, ToroidError } from "../protocol/errors.ts";
import { printable } from "../protocol/pipeline/text-rules.ts";
import { openApi } from "./api.ts";
import { askAt } from "./ask.ts";
import { EXIT, exitOf, Failure, usageError } from "./exit.ts";
import { DEFAULT_SERVER, type Globals, globalsIn, programOf, splitExtras } from "./program.ts";
import { asLines, hasColours, write } from "./text/output.ts";
import type { Context } from "./verb.ts";

/** Runs one command line; answers the exit code. */
export async function main(words: readonly string[]): Promise<number> {
  endWithTheReader();
  // As the scripts of `toroid completion` ask.
  if (words[0] === "complete") return answerShell(words.slice(words[1] === "--" ? 2 : 1));
  let exit: number = EXIT.ok;
  const [args, extras] = splitExtras(words);
  const json = args.includes("--json");
  const program = programOf(async (verb, globals, given, flags) => {
    const options = verb.options.safeParse(flags);
    if (!options.success) throw usageError(options.error.issues[0]?.message ?? "an option is wrong");
    exit = await verb.run(contextOf(globals, extras), given, options.data);
  }, json);
  try {
    await program.parseAsync(args, { from: "user" });
    return exit;
  } catch (error) {
    return report(error, json);
  }
}

async function answerShell(words: readonly string[]): Promise<number> {
  const { suggest } = await import("./completion.ts");
  await suggest(words, contextOf(globalsIn(words), []));
  return EXIT.ok;
}

function contextOf({ json = false, server, as }: Globals, extras: readonly string[]): Context {
  const environment = process.env;
  const { SUDO_USER, USER } = environment;
  const who = as || environment["TOROID_AS"] || environment["TOROID_USER"] || SUDO_USER || USER || null;
  return {
    json,
    extras,
    environment,
    colours: hasColours(process.stdout, environment),
    onTerminal: process.stderr.isTTY,
    who,
    out: (data) => write(process.stdout, data),
    err: (line) => void process.stderr.write(`${line}\n`),
    api: () =>
      openApi(server ?? (environment["TOROID_URL"] || DEFAULT_SERVER), who, environment["TOROID_TOKEN"] || null),
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
    const why = { SIGINT: "interrupted", SIGTERM: "terminated", SIGHUP: "the terminal is gone" } as const;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => made.abort(new Failure(EXIT.interrupted, "TOR_INTERRUPTED", why[signal])));
    }
    return made.signal;
  };
}

/** One sentence and its code, on standard error; with `--json`, the error of the HTTP API. */
function report(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    // For people, it is said already.
    const message = error.message.replace(/^error: /, "");
    if (json) console.error(JSON.stringify({ code: "TOR_INVALID_INPUT", message }));
    return EXIT.usage;
  }
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
