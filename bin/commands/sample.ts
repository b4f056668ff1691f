import { resolve } from "node:path";
import { z } from "zod";
import { formatBuild } from "../../protocol/ids.ts";
import { EXIT, usageError } from "../exit.ts";
import { verb } from "../verb.ts";

const QUEUE = /^(TOROID_QUEUE_|TOROID_DEAD_LETTER_|AWS_)/;

export const sample = verb({
  usage: "sample <directory>",
  summary: "push a sample application through a system that runs, and show its build",
  more: [
    "Makes a bare repository with a hook that tells the queue (TOROID_QUEUE_URL), and a working tree beside it; pushes,",
    "and follows the build at --server. Executors must see the directory, and have TOROID_ALLOW_LOCAL_REMOTES=1.",
  ].join("\n"),
  examples: ["toroid sample /tmp/sample"],
  flags: [],
  options: z.object({}),
  async run(context, [directory]) {
    if (directory === undefined) throw usageError("name a directory to make the repositories in");
    const queue = Object.entries(context.environment).filter(
      ([name, value]) => QUEUE.test(name) && value !== undefined,
    );
    if (!queue.some(([name]) => name === "TOROID_QUEUE_URL")) {
      throw usageError("TOROID_QUEUE_URL is not set: it names the queue that a push is told to");
    }
    const [{ makeSample, pushSample, SAMPLE_REPOSITORY }, { buildOfCommit, watchBuild }, { TOROID }] =
      await Promise.all([import("../start/sample.ts"), import("../start/watch.ts"), import("../start/system.ts")]);
    const made = await makeSample(resolve(directory), {
      toroid: [process.execPath, TOROID],
      environment: Object.fromEntries(queue.map(([name, value]) => [name, value ?? ""])),
    });
    const { commit } = await pushSample(made);
    const build = await watchBuild(context, await buildOfCommit(context, SAMPLE_REPOSITORY, commit));
    context.err(
      `--- ${formatBuild(build)} ${build.outcome ?? build.status}${build.message === "" ? "" : `: ${build.message}`}`,
    );
    context.err(`push again: cd ${made.workTree} && git commit --allow-empty -m again && git push origin main`);
    return build.outcome === "passed" ? EXIT.ok : EXIT.failed;
  },
});
