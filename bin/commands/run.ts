import { z } from "zod";
import { EXIT } from "../exit.ts";
import { hostHere, sayUnplanned } from "../run/here.ts";
import { paramsOf } from "../text/arguments.ts";
import { took } from "../text/time.ts";
import { verb } from "../verb.ts";

export const run = verb({
  usage: "run [stage]",
  summary: "run a stage of this checkout as it is now, in a real workspace, without a server",
  more: [
    "Without a stage, the first. Changes that are not committed are part of it; nothing is published.",
    "Secrets that the stage names are taken from your environment. What earlier stages made is not there.",
    "The script's output goes to standard output, with --json as a line an event. Needs root, as an executor does.",
  ].join("\n"),
  examples: ["sudo toroid run", "sudo toroid run prod -p REGION=eu-west-1", "sudo toroid run test -- --only login"],
  extras: "what is added to the last line of the script, or to the words of the entry point",
  flags: [{ flags: "-p, --param <NAME=value>", about: "a variable for the script; may be given again", many: true }],
  options: z.object({ param: z.array(z.string()).default([]) }),
  async run(context, [stage = null], { param }) {
    const { json, out, err, extras } = context;
    const params = paramsOf(param);
    const [host, { runLocally }] = await Promise.all([hostHere(context), import("../../executor/local.ts")]);
    const line = (value: unknown): void => void out(`${JSON.stringify(value)}\n`);
    const began = performance.now();
    const ran = await runLocally({
      ...host,
      directory: process.cwd(),
      stage,
      params,
      extras,
      onBytes: (data) => (json ? line({ kind: "bytes", text: Buffer.from(data).toString("utf8") }) : void out(data)),
      onPhase: (phase) => (json ? line({ kind: "phase", phase }) : err(`--- ${phase}`)),
      say: (text) => err(`toroid: ${text}`),
      cancelled: context.interrupted(),
    });
    if (ran.kind !== "run") return sayUnplanned(context, ran);
    const { ruling, outputs } = ran.run;
    if (ruling.kind === "errored") {
      err(`--- ${ran.stage} could not be run: ${ruling.message} (${ruling.code})`);
      return EXIT.server;
    }
    const { outcome, message, exitCode } = ruling;
    const why = message === "" ? "" : `: ${message}`;
    if (json) line({ kind: "end", stage: ran.stage, outcome, message, exitCode, outputs });
    else err(`--- ${ran.stage} ${outcome} after ${took(performance.now() - began)}${why}`);
    if (outcome === "cancelled") return EXIT.interrupted;
    return outcome === "passed" ? EXIT.ok : EXIT.failed;
  },
});
