import { readFile, writeFile } from "node:fs/promises";
import { z } from "zod";
import { frames } from "../../protocol/pipeline/frame.ts";
import { lint } from "../../protocol/pipeline/plan.ts";
import { EXIT, usageError } from "../exit.ts";
import { importTravis } from "../import/travis.ts";
import { verb } from "../verb.ts";

const PIPELINE_FILE = ".toroid.yml";

export const importFile = verb({
  usage: "import [file]",
  summary: "write a .toroid.yml that does what a .travis.yml did, and say what it cannot",
  more: "Without a file, the .travis.yml of this directory. What is not carried over stands at the top as comments.",
  examples: ["toroid import", "toroid import --print ../old/.travis.yml"],
  flags: [
    { flags: "--print", about: "to standard output, and write nothing" },
    { flags: "--force", about: "overwrite" },
  ],
  options: z.object({ print: z.boolean().default(false), force: z.boolean().default(false) }),
  async run({ json, out, err }, [file = ".travis.yml"], { print, force }) {
    const source = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
      throw usageError(error.code === "ENOENT" ? `there is no ${file} here` : `cannot read ${file}: ${error.message}`);
    });
    const made = importTravis(file, source);
    if (!("text" in made)) {
      await out(json ? `${JSON.stringify({ problems: made })}\n` : `${frames(made, source)}\n`);
      return EXIT.usage;
    }
    const problems = lint(PIPELINE_FILE, made.text, null);
    if (problems.length > 0)
      throw usageError(`what was made of ${file} is not a ${PIPELINE_FILE}:\n${frames(problems, made.text)}`);
    if (!print) await write(made.text, force);
    if (json)
      await out(`${JSON.stringify({ wrote: print ? [] : [PIPELINE_FILE], text: made.text, notes: made.notes })}\n`);
    else if (print) await out(made.text);
    for (const note of json ? [] : made.notes) err(`toroid: ${note}`);
    if (!print && !json) err(`wrote ${PIPELINE_FILE}: read it, and try it with \`sudo toroid run\``);
    return EXIT.ok;
  },
});

async function write(text: string, force: boolean): Promise<void> {
  await writeFile(PIPELINE_FILE, text, { flag: force ? "w" : "wx" }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
    throw usageError(`there is a ${PIPELINE_FILE} already: --force writes it anew, --print shows what it would be`);
  });
}
