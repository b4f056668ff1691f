import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { frames } from "../../protocol/pipeline/frame.ts";
import { lint as problemsOf } from "../../protocol/pipeline/plan.ts";
import { EXIT, usageError } from "../exit.ts";
import { treeIn } from "../tree.ts";
import { verb } from "../verb.ts";

export const lint = verb({
  usage: "lint [file]",
  summary: "check a .toroid.yml, and show every mistake in its place",
  more: "Without a file, the .toroid.yml of this directory. Needs no server. Exits with 2 when there are problems.",
  examples: ["toroid lint", "toroid lint --json .toroid.yml"],
  flags: [],
  options: z.object({}),
  async run({ json, out, err }, [file = ".toroid.yml"]) {
    const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
      throw usageError(error.code === "ENOENT" ? `there is no ${file} here` : `cannot read ${file}: ${error.message}`);
    });
    // Only who wants a template made has to know what is there.
    const tree = /\bpacker\b/.test(text) ? await treeIn(dirname(file)) : null;
    const problems = problemsOf(file, text, tree);
    if (json) await out(`${JSON.stringify({ file, problems })}\n`);
    else if (problems.length > 0) await out(`${frames(problems, text)}\n`);
    if (!json) err(problems.length === 0 ? `${file} is fine` : `${file} has ${counted(problems.length)}`);
    return problems.length === 0 ? EXIT.ok : EXIT.usage;
  },
});

function counted(problems: number): string {
  return problems === 1 ? "1 problem" : `${problems} problems`;
}
