/** What a Packer template is, what it names, and how ours is put beside it. Pure: text in, text out. */

/** `json` is Packer's first language; `hcl` its second, in either of its two ways of being written. */
export type Form = "hcl" | "json";

export interface Template {
  readonly form: Form;
  /** What its copy is called: Packer goes by the end of a name. */
  readonly file: string;
  readonly text: string;
}

/** Where Packer finds the workspace that becomes the image; both are alone in its own network. */
export const SSH_PORT = 22;
export const KEY_FILE = "/run/toroid-packer-key";

/** The source that builds are for, as a template names it. */
export const SOURCE = "null.toroid";
/** The same in JSON. */
const BUILDER = "toroid";
/** Made beside an HCL template. */
export const SOURCE_FILE = "toroid-source.pkr.hcl";

const SETTINGS = {
  communicator: "ssh",
  ssh_host: "127.0.0.1",
  ssh_port: SSH_PORT,
  ssh_username: "root",
  ssh_private_key_file: KEY_FILE,
} as const;

/** @param name the file's own, whatever it is called */
export function templateOf(name: string, text: string): Template {
  const file = name.slice(name.lastIndexOf("/") + 1);
  if (/\.pkr\.(hcl|json)$/.test(file)) return { form: "hcl", file, text };
  if (!text.trimStart().startsWith("{")) return { form: "hcl", file: `${file}.pkr.hcl`, text };
  const read = objectOf(text);
  if (read !== null && ("build" in read || "source" in read)) return { form: "hcl", file: `${file}.pkr.json`, text };
  return { form: "json", file: file.endsWith(".json") ? file : `${file}.json`, text };
}

/** What has to be there for `template` to build the image, by the names of files beside it; a sentence when it cannot. */
export function filesOf(template: Template): Readonly<Record<string, string>> | string {
  if (template.form === "json") return { [template.file]: withBuilder(template.text) };
  if (!template.text.includes(SOURCE)) {
    return `no build of the template is for a container: add "source.${SOURCE}" to the \`sources\` of its \`build\` block`;
  }
  return { [template.file]: template.text, [SOURCE_FILE]: sourceText() };
}

/** The builds to run and what to build, after `packer build`. */
export function wordsOf(template: Template, dir: string): readonly string[] {
  const at = template.form === "json" ? `${dir}/${template.file}` : dir;
  return ["build", "-machine-readable", "-color=false", "-only", template.form === "json" ? BUILDER : `*${SOURCE}`, at];
}

function sourceText(): string {
  const lines = Object.entries(SETTINGS).map(([name, value]) => `  ${name} = ${JSON.stringify(value)}\n`);
  return `# Made by Toroid: the container that the image is made in.\nsource "null" "toroid" {\n${lines.join("")}}\n`;
}

/**
 * Its own builders stay, for provisioners may name them; one that has our name is ours, with what it says besides. A text
 * that cannot be read is Packer's to complain of.
 */
function withBuilder(text: string): string {
  const read = objectOf(text);
  if (read === null) return text;
  const builders = "builders" in read && Array.isArray(read.builders) ? (read.builders as unknown[]) : [];
  const isOurs = (one: unknown): one is object =>
    typeof one === "object" && one !== null && "name" in one && one.name === BUILDER;
  const ours = { ...builders.find(isOurs), type: "null", name: BUILDER, ...SETTINGS };
  return JSON.stringify({ ...read, builders: [...builders.filter((one) => !isOurs(one)), ours] }, null, 2);
}

function objectOf(text: string): object | null {
  try {
    const read: unknown = JSON.parse(text);
    return typeof read === "object" && read !== null && !Array.isArray(read) ? read : null;
  } catch {
    return null;
  }
}

/**
 * What in the text may be the path of a file that Packer needs. More than it needs does no harm but to the image's being
 * found again; so a word within a longer text counts only when it has a slash. What only a run can put together
 * (`"files/${var.name}"`) counts as the directory that it begins with.
 */
export function namesIn(text: string): readonly string[] {
  const found = new Set<string>();
  // Values, and neither the names of blocks in HCL nor those of members in JSON.
  for (const [, literal = ""] of text.matchAll(/(?<=[=[,(:?]\s*)"((?:[^"\\\n]|\\.){1,4096})"(?!\s*:)/g))
    addPieces(found, literal.trim());
  for (const [, files = ""] of text.matchAll(/\bplaybook_files?"?\s*[=:]\s*(\[[^\]]*\]|"[^"\n]*")/g))
    addPlaybooks(found, files);
  for (const [word] of text.matchAll(/[\w.@+~/*?${}-]*\/[\w.@+~/*?${}-]*/g)) addPieces(found, word);
  return [...found].sort();
}

/** What Ansible finds by itself beside a playbook in the root; beside any other it may be all that is there. */
const BESIDE_PLAYBOOKS = ["roles", "group_vars", "host_vars", "ansible.cfg"];

function addPlaybooks(found: Set<string>, files: string): void {
  for (const [, path = ""] of files.matchAll(/"([^"\n]*)"/g)) {
    const dir = path.slice(0, path.lastIndexOf("/") + 1).replaceAll(/^(\.\/)+/g, "");
    for (const name of dir === "" ? BESIDE_PLAYBOOKS : [dir]) addPieces(found, name);
  }
}

/** The parts of a path between what a run fills in. */
function addPieces(found: Set<string>, text: string): void {
  const pieces = text.split(/\$\{[^}]*\}?|\{\{[^}]*\}?\}?|[*?]/);
  for (const [i, piece] of pieces.entries()) {
    const isLast = i === pieces.length - 1;
    add(found, isLast ? piece : piece.slice(0, piece.lastIndexOf("/") + 1));
  }
}

function add(found: Set<string>, name: string): void {
  if (name === "." || name === "./") found.add(".");
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.length > 0 && !parts.includes("..")) found.add(parts.join("/"));
}

/** Of `variables` those that the text speaks of. */
export function variablesIn(
  text: string,
  variables: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const words = new Set(text.match(/\w+/g) ?? []);
  const used = Object.entries(variables).filter(([name]) => words.has(name.replace(/^PKR_VAR_/, "")));
  return Object.fromEntries(used.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** As Packer takes them: its own variables, and what `env()` reads. */
export function environmentOf(variables: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(variables)) {
    environment[name] = value;
    if (!name.startsWith("PKR_VAR_")) environment[`PKR_VAR_${name}`] ??= value;
  }
  return environment;
}
