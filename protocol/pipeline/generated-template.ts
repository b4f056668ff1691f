/**
 * The Packer template of a repository that has none: what it is made on with `install` done, as HCL that a person could
 * have written. Text in, text out; the same of the same.
 */

export interface TemplateParts {
  readonly install: readonly string[];
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  /** Files and directories of the checkout that `install` needs. */
  readonly files: readonly string[];
}

/** Where a template is looked for. */
export const TEMPLATE_FILE = ".packer";
/** Where a workspace has its checkout, and `install` runs. */
const CHECKOUT = "/workspace";
/** Where an image keeps what `install` left in the checkout, and the mark of what was run. */
const KEPT = "/var/lib/toroid";

const HEAD = `# Made by Toroid of .toroid.yml, for the repository has no ${TEMPLATE_FILE}: the image is its base with \`install\` done.
# \`toroid init --packer\` writes this file. From then on it is yours, and used as it is.
`;

export function generatedTemplate(parts: TemplateParts): string {
  const { install, workdir, env, files } = parts;
  const dir = inCheckout(workdir);
  const uploads = uploadsOf(files);
  const dirs = [...new Set([dir, ...uploads.map(({ to }) => to.replace(/\/$/, ""))])].sort();
  const variables = Object.keys(env).map((name) => `${name}=\${var.${name}}`);
  const blocks = [
    '# The container that Toroid makes the image in.\nsources = ["source.null.toroid"]',
    shell([`mkdir -p ${dirs.map(word).join(" ")}`]),
    ...uploads.map(({ from, to }, i) => {
      const about =
        i === 0 ? "# What `install` needs of the checkout: when any of it changes, the image is made anew.\n" : "";
      return `${about}provisioner "file" {\n  sources     = ${list(from)}\n  destination = ${text(to)}\n}`;
    }),
    `# \`install\` of .toroid.yml.\n${shell(
      [`cd ${word(dir)}`, ...install.flatMap(linesOf)],
      [
        'inline_shebang   = "/bin/sh -eu"',
        `environment_vars = [${['"CI=true"', '"TOROID=true"', ...variables.map((one) => `"${one}"`)].join(", ")}]`,
      ],
    )}`,
    `# What it left in the checkout, for the stages: each has a checkout of its own, copies this into it, and does not run
# \`install\` again as long as it is the one that has this mark.
${shell([
  `mkdir -p ${KEPT}`,
  `rm -rf ${KEPT}/checkout`,
  `mv ${CHECKOUT} ${KEPT}/checkout`,
  `echo ${installMark(install, workdir)} >${KEPT}/installed`,
])}`,
  ];
  return `${HEAD}\n${Object.entries(env).map(variableBlock).join("")}build {\n${indented(blocks.join("\n\n"))}\n}\n`;
}

/** Goes before `install` in a stage whose image may have it done: then what it left is copied, and that is all. */
export function installedText(install: readonly string[], workdir: string): string {
  return `if [ "$(cat ${KEPT}/installed 2>/dev/null || :)" = ${installMark(install, workdir)} ]; then
  echo 'toroid: the image has install done; what it left in the checkout is copied'
  cp -a ${KEPT}/checkout/. ${CHECKOUT}/
  exit 0
fi
`;
}

/** What a template of ours cannot carry to Packer, which reads two braces in a text as its own; null: nothing. */
export function carriesBraces({ install, env }: Pick<TemplateParts, "install" | "env">): string | null {
  if (install.some((line) => line.includes("{{"))) return "`install`";
  const name = Object.entries(env).find(([, value]) => value.includes("{{"))?.[0];
  return name === undefined ? null : `the variable \`${name}\``;
}

const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/** FNV-1a of 64 bits: nobody who could change an image has anything to gain from another text of the same mark. */
function installMark(install: readonly string[], workdir: string): string {
  let hash = FNV_OFFSET;
  for (const byte of Buffer.from(JSON.stringify([workdir, install])))
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME);
  return hash.toString(16).padStart(16, "0");
}

interface Upload {
  readonly from: readonly string[];
  readonly to: string;
}

/** One for each directory that something goes to. */
function uploadsOf(files: readonly string[]): readonly Upload[] {
  if (files.includes(".")) return [{ from: ["./"], to: `${CHECKOUT}/` }];
  const byDir = Map.groupBy([...files].sort(), (path) => path.slice(0, path.lastIndexOf("/") + 1));
  return [...byDir].map(([dir, from]) => ({ from, to: `${CHECKOUT}/${dir}` }));
}

/** A command as lines of a script, with the end that its last one alone would not bring: of `a && b`, `a` may fail unseen. */
function linesOf(command: string): readonly string[] {
  const lines = command.replace(/\n+$/, "").split("\n");
  return command.includes("&&") ? [...lines, "case $? in 0) ;; *) exit $? ;; esac"] : lines;
}

function inCheckout(workdir: string): string {
  return workdir === "." ? CHECKOUT : `${CHECKOUT}/${workdir}`;
}

function shell(lines: readonly string[], settings: readonly string[] = []): string {
  const inline =
    lines.length === 1
      ? `inline = ${list(lines)}`
      : `inline = [\n${indented(lines.map((line) => `${text(line)},`).join("\n"))}\n]`;
  return `provisioner "shell" {\n${indented([...settings, inline].join("\n"))}\n}`;
}

function variableBlock([name, value]: readonly [string, string]): string {
  return `# Of \`env\`; a build sets what it is there.\nvariable ${text(name)} {\n  default = ${text(value)}\n}\n\n`;
}

function list(items: readonly string[]): string {
  return `[${items.map(text).join(", ")}]`;
}

/** A string of HCL that is `value` and nothing else. */
function text(value: string): string {
  const plain = JSON.stringify(value).replaceAll("\\b", "\\u0008").replaceAll("\\f", "\\u000c");
  return plain.replaceAll(/\$+\{|%+\{/g, (found) => {
    const [sign = ""] = found;
    const code = sign === "$" ? "\\u0024" : "\\u0025";
    return `${code.repeat(found.length - 2)}${sign}${sign}{`;
  });
}

/** A word of a shell, in quotes when it has to be. */
function word(value: string): string {
  return /^[\w./@:+-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}

function indented(block: string): string {
  return block.replaceAll(/^(?=.)/gm, "  ");
}
