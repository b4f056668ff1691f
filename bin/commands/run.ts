import { z } from "zod";
import { frames } from "../../protocol/pipeline/frame.ts";
import { EXIT } from "../exit.ts";
import { paramsOf } from "../text/arguments.ts";
import { took } from "../text/time.ts";
import { verb } from "../verb.ts";

export const run = verb({
  usage: "run [stage]",
  summary: "run a stage of this checkout as it is now, in a real workspace, without a server",
  more: [
    "Without a stage, the first. Changes that are not committed are part of it; nothing is published.",
    "The script's output goes to standard output, with --json as a line an event. Needs root, as an executor does.",
  ].join("\n"),
  flags: [{ flags: "-p, --param <NAME=value>", about: "a variable for the script; may be given again", many: true }],
  options: z.object({ param: z.array(z.string()).default([]) }),
  async run({ environment, json, out, err, interrupted }, [stage = null], { param }) {
    const params = paramsOf(param);
    const [{ configFrom }, { runLocally }] = await Promise.all([
      import("../../executor/config.ts"),
      import("../../executor/local.ts"),
    ]);
    const { sandbox, allowWeak, defaultImage, imagesDir, images, cacheDir, packer } = configFrom(environment);
    const line = (value: unknown): void => void out(`${JSON.stringify(value)}\n`);
    const began = performance.now();
    const ran = await runLocally({
      directory: process.cwd(),
      stage,
      sandbox,
      allowWeak,
      defaultImage,
      imagesDir,
      images,
      cacheDir,
      packer,
      params,
      onBytes: (data) => (json ? line({ kind: "bytes", text: Buffer.from(data).toString("utf8") }) : void out(data)),
      onPhase: (phase) => (json ? line({ kind: "phase", phase }) : err(`--- ${phase}`)),
      cancelled: interrupted(),
    });
    if (ran.kind === "skip") {
      err(`nothing to run: ${ran.reason}`);
      return EXIT.ok;
    }
    if (ran.kind === "invalid") {
      await out(json ? `${JSON.stringify({ problems: ran.problems })}\n` : `${frames(ran.problems, ran.text)}\n`);
      return EXIT.usage;
    }
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
