import { z } from "zod";
import { EXIT, usageError } from "../exit.ts";
import { hostHere, sayUnplanned } from "../run/here.ts";
import { paramsOf } from "../text/arguments.ts";
import { verb } from "../verb.ts";

export const shell = verb({
  usage: "shell [stage]",
  summary: "open a shell where a stage of this checkout would run, without a server",
  more: [
    "Without a stage, the first. The workspace is that of `toroid run`: image, files, variables, secrets, limits. It is",
    "gone with the shell, and your checkout is as it was. Exits as the shell does. Needs root, as an executor does.",
  ].join("\n"),
  examples: ["sudo toroid shell", "sudo toroid shell --install", "sudo toroid shell prod -- env"],
  extras: "a command in place of a shell",
  flags: [
    { flags: "--install", about: "do first what the stage installs" },
    { flags: "-p, --param <NAME=value>", about: "a variable; may be given again", many: true },
  ],
  options: z.object({ install: z.boolean().default(false), param: z.array(z.string()).default([]) }),
  async run(context, [stage = null], { install, param }) {
    const { json, err, extras: command, environment } = context;
    if (json) throw usageError("a shell has no --json: what it prints is its own");
    const onTerminal = process.stdin.isTTY && process.stdout.isTTY;
    if (!onTerminal && command.length === 0) {
      throw usageError("a shell needs a terminal; without one, name a command: toroid shell -- make test");
    }
    const params = paramsOf(param);
    const [host, { shellLocally }] = await Promise.all([hostHere(context), import("../../executor/local.ts")]);
    const ran = await shellLocally({
      ...host,
      directory: process.cwd(),
      stage,
      params,
      command,
      onTerminal,
      variables: onTerminal ? terminalVariables(environment) : {},
      install,
      onBytes: (data) => void process.stderr.write(data),
      onPhase: (phase) => err(`--- ${phase}`),
      say: (text) => err(`toroid: ${text}`),
      cancelled: context.interrupted(),
    });
    if (ran.kind === "skip" || ran.kind === "invalid") return sayUnplanned(context, ran);
    if (ran.kind === "shell") {
      if (ran.message !== "") err(`toroid: ${ran.message}`);
      return ran.exit;
    }
    const { ruling } = ran;
    const code = ruling.kind === "errored" ? ` (${ruling.code})` : "";
    err(`--- ${ran.stage} could not be begun: ${ruling.message}${code}`);
    if (ruling.kind === "errored") return EXIT.server;
    return ruling.outcome === "cancelled" ? EXIT.interrupted : EXIT.failed;
  },
});

function terminalVariables(
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const own = ["TERM", "COLORTERM", "NO_COLOR"].map((name) => [name, environment[name]] as const);
  return Object.fromEntries(own.filter((one): one is readonly [string, string] => one[1] !== undefined));
}
