import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { frames } from "../../protocol/pipeline/frame.ts";
import { TEMPLATE_FILE } from "../../protocol/pipeline/generated-template.ts";
import { planOf, type Tree } from "../../protocol/pipeline/plan.ts";
import { environmentProblem } from "../../protocol/pipeline/text-rules.ts";
import { EXIT, usageError } from "../exit.ts";
import { entrypointText, pipelineText, type Wanted } from "../init/compose.ts";
import { detect, type Found, READ } from "../init/detect.ts";
import { treeIn } from "../tree.ts";
import { type Context, verb } from "../verb.ts";

const PIPELINE_FILE = ".toroid.yml";
const DEFAULT_ENVIRONMENTS = "stage, prod";
const DEFAULT_ENTRYPOINT = "bin/deploy";

const options = z.object({
  yes: z.boolean().default(false),
  kind: z.enum(["library", "application"], { error: "--kind is `library` or `application`" }).optional(),
  test: z.string().min(1, { error: "--test wants a command" }).optional(),
  environments: z.string().optional(),
  packer: z.boolean().default(false),
  entrypoint: z.boolean().default(false),
  force: z.boolean().default(false),
});
type Options = z.output<typeof options>;

export const init = verb({
  usage: "init",
  summary: "write a .toroid.yml for this checkout, by what is in it",
  more: [
    "On a terminal it asks for what no flag says, three questions at most. An application gets its .packer as well: the",
    "template that Toroid would make of the file. Where there is a .toroid.yml, --packer writes its template alone.",
    "Nothing that is there is overwritten without --force.",
  ].join("\n"),
  examples: ["toroid init", 'toroid init --yes --kind application --environments "stage, prod"'],
  flags: [
    { flags: "-y, --yes", about: "ask nothing, and take what seems right" },
    { flags: "--kind <kind>", about: "`library` or `application`", choices: ["library", "application"] },
    { flags: "--test <command>", about: "how it is tested" },
    { flags: "--environments <names>", about: "where an application is deployed to, in order: `stage, prod`" },
    { flags: "--packer", about: "write the .packer that is made of `install`, for a library too" },
    { flags: "--entrypoint", about: "write a program for deployments to begin with" },
    { flags: "--force", about: "overwrite" },
  ],
  options,
  async run(context, _args, given) {
    const { out, err, json } = context;
    const there = await treeIn(".");
    const files =
      given.packer && there.files.includes(PIPELINE_FILE)
        ? [templateFile(PIPELINE_FILE, await readFile(PIPELINE_FILE, "utf8"), there)]
        : await everything(context, there, given);
    await assertFree(files, given.force);
    for (const { path, text, executable } of files) await write(path, text, executable);
    const names = files.map(({ path }) => path);
    if (json) await out(`${JSON.stringify({ wrote: names })}\n`);
    else for (const name of names) err(`wrote ${name}`);
    const missing = missingEntrypoint(files, there);
    if (missing !== null) err(`next: write ${missing}, which deploys; --entrypoint begins it for you`);
    err(`next: read ${names.join(" and ")}, try it with \`sudo toroid run\`, then`);
    err(`      git add ${names.join(" ")} && git commit && git push`);
    return EXIT.ok;
  },
});

interface File {
  readonly path: string;
  readonly text: string;
  readonly executable: boolean;
}

async function everything(context: Context, there: Tree, given: Options): Promise<readonly File[]> {
  const texts: Record<string, string> = {};
  for (const name of READ) if (there.files.includes(name)) texts[name] = await readFile(name, "utf8");
  const found = detect({ files: there.files, texts });
  if (found.because.length > 0) context.err(`found ${found.because.join(", ")}`);
  for (const note of found.notes) context.err(note);
  const wanted = await wantedOf(context, found, given);
  const text = pipelineText(wanted);
  const files: File[] = [{ path: PIPELINE_FILE, text, executable: false }];
  const without: Tree = { ...there, template: "none" };
  const isKept = there.template !== "none" && !given.force;
  // A template that is there stays as it is.
  if (wanted.packer && !isKept) files.push(templateFile(PIPELINE_FILE, text, without));
  else assertFine(PIPELINE_FILE, text, there);
  if (given.entrypoint && wanted.environments.length > 0) {
    files.push({ path: wanted.entrypoint, text: entrypointText(wanted.entrypoint), executable: true });
  }
  return files;
}

/** What flags say; else what a person says, where one can be asked; else what seems right. */
async function wantedOf(context: Context, found: Found, given: Options): Promise<Wanted> {
  using ask = given.yes || context.json ? null : context.ask();
  const answer = async (said: string | undefined, question: string, otherwise: string): Promise<string> =>
    said ?? (await ask?.question(question, otherwise)) ?? otherwise;
  const kind = await answer(given.kind, "Is it a library, or an application that is deployed?", found.kind);
  if (kind !== "library" && kind !== "application")
    throw usageError(`it is a \`library\` or an \`application\`, not ${JSON.stringify(kind)}`);
  const script = await answer(given.test, "How is it tested?", found.script.join(" && "));
  if (script === "")
    throw usageError("nothing here says how it is tested: say it with --test, for example --test 'make test'");
  const isDeployed = kind === "application";
  const names = isDeployed
    ? await answer(given.environments, "Which environments, in order?", DEFAULT_ENVIRONMENTS)
    : (given.environments ?? "");
  if (!isDeployed && names !== "") throw usageError("a library has no environments: --kind application");
  const environments = names.split(/[\s,]+/).filter((name) => name !== "");
  for (const name of environments) {
    const problem = environmentProblem(name);
    if (problem !== null) throw usageError(problem);
  }
  return {
    kind,
    install: found.install,
    script: script === found.script.join(" && ") ? found.script : [script],
    environments,
    entrypoint: found.entrypoint ?? DEFAULT_ENTRYPOINT,
    packer: (isDeployed || given.packer) && found.install.length > 0,
  };
}

/** The template that Toroid would make of `text`. */
function templateFile(file: string, text: string, tree: Tree): File {
  const stages = assertFine(file, text, { ...tree, template: "none" });
  const made = stages.map(({ image }) => (image.kind === "packer" ? image.text : null)).find((one) => one !== null);
  if (made === undefined || made === null)
    throw usageError(
      `${file} does not ask for ${TEMPLATE_FILE}: write \`image: { packer: ${TEMPLATE_FILE} }\` into it`,
    );
  return { path: TEMPLATE_FILE, text: made.replace(/^(?:#.*\n)+/, HEAD), executable: false };
}

const HEAD = `# The image that this repository is built in: what these provisioners make of its base. Written by \`toroid init\` of
# .toroid.yml; \`install\` there and here are the same, and when they are not any more, stages run their own.
`;

function assertFine(file: string, text: string, tree: Tree) {
  const planned = planOf(file, text, { ...SOME_PUSH, tree });
  if (planned.kind === "plan") return planned.plan.stages;
  throw usageError(planned.kind === "invalid" ? `${file}:\n${frames(planned.problems, text)}` : planned.reason);
}

/** For what is the same for every push. */
const SOME_PUSH = {
  repository: "local/checkout",
  ref: "refs/heads/main",
  branch: "main",
  tag: null,
  commit: "0".repeat(40),
  message: "",
  changedPaths: null,
  defaultBranch: null,
} as const;

async function assertFree(files: readonly File[], force: boolean): Promise<void> {
  if (force) return;
  for (const { path } of files) {
    const isThere = await stat(path).then(
      () => true,
      () => false,
    );
    if (!isThere) continue;
    const packer = path === PIPELINE_FILE ? `, --packer writes its ${TEMPLATE_FILE} alone` : "";
    throw usageError(`there is a ${path} already: --force writes it anew${packer}`);
  }
}

async function write(path: string, text: string, executable: boolean): Promise<void> {
  await mkdir(dirname(join(".", path)), { recursive: true });
  await writeFile(path, text);
  if (executable) await chmod(path, 0o755);
}

function missingEntrypoint(files: readonly File[], there: Tree): string | null {
  const [, entrypoint] = /^entrypoint: (\S+)/m.exec(files[0]?.text ?? "") ?? [];
  if (entrypoint === undefined) return null;
  return there.files.includes(entrypoint) || files.some(({ path }) => path === entrypoint) ? null : entrypoint;
}
