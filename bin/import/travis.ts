/** From a `.travis.yml` to a `.toroid.yml`, and what of it nobody can carry over. Pure. */
import { type Document, readDocument } from "../../protocol/pipeline/document.ts";
import type { Problem } from "../../protocol/pipeline/problem.ts";
import { variableProblem } from "../../protocol/pipeline/text-rules.ts";
import { commands, scalar } from "../init/compose.ts";

export interface Imported {
  readonly text: string;
  /** What is not, or not quite, as it was; in sentences. */
  readonly notes: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;
/** Variables of one job. */
type Row = Readonly<Record<string, string>>;

/** What Travis does where a file says nothing, and where a language's versions stand. */
const LANGUAGES: Readonly<
  Record<string, { readonly versions: string; readonly install: string; readonly script: string }>
> = {
  node_js: { versions: "node_js", install: "npm ci", script: "npm test" },
  ruby: { versions: "rvm", install: "bundle install", script: "bundle exec rake" },
  python: { versions: "python", install: "pip install -r requirements.txt", script: "" },
  go: { versions: "go", install: "go mod download", script: "go test ./..." },
  rust: { versions: "rust", install: "cargo fetch", script: "cargo test" },
  php: { versions: "php", install: "composer install", script: "vendor/bin/phpunit" },
  java: { versions: "jdk", install: "mvn install -DskipTests", script: "mvn test" },
};
const WITHOUT_DEFAULTS = ["generic", "minimal", "shell", "bash", "sh", "c", "cpp"];
/** Of Travis' machines alone. */
const OF_NO_MEANING = ["sudo", "group", "git", "version", "language", "fast_finish", "virt"];
const NOBODY_KNOWS = "echo 'say here how it is tested' >&2; exit 1";

export function importTravis(file: string, text: string): Imported | readonly Problem[] {
  const document = readDocument(file, text);
  return "value" in document ? new Import(document).result() : document;
}

class Import {
  readonly #of: Fields;
  readonly #document: Document;
  readonly #notes: string[] = [];
  readonly #seen = new Set<string>(OF_NO_MEANING);

  constructor(document: Document) {
    this.#document = document;
    this.#of = fieldsOf(document.value);
  }

  result(): Imported {
    const [on, rows, versions] = [this.#branches(), this.#variables(), this.#versions()];
    const install = this.#install();
    const script = this.#script();
    const after = this.#lines("after_script");
    this.#rest();
    const lines = [
      ...on,
      ...matrixText(versions, rows.each),
      ...mapText("env", rows.all),
      ...commands("install", install),
      ...commands("script", script),
      ...commands("after", after),
    ];
    const head = [`# Made of ${this.#document.file} by \`toroid import\`.`];
    if (this.#notes.length > 0) head.push("# Not carried over, or not quite; remove what you have looked at:");
    const notes = this.#notes.map((note) => `# - ${note.replaceAll(/\s+/g, " ")}`);
    return { text: `${[...head, ...notes, ...lines].join("\n")}\n`, notes: this.#notes };
  }

  #take(key: string): unknown {
    this.#seen.add(key);
    return this.#of[key];
  }

  #lines(key: string): readonly string[] {
    return listOf(this.#take(key)).flatMap((line) =>
      typeof line === "string" && line.trim() !== "" ? [line.trim()] : [],
    );
  }

  #install(): readonly string[] {
    const own = this.#take("install");
    const apt = listOf(fieldsOf(fieldsOf(this.#take("addons"))["apt"])["packages"]).filter(isText);
    const others = Object.keys(fieldsOf(this.#of["addons"])).filter((name) => name !== "apt");
    if (others.length > 0)
      this.#notes.push(`addons ${others.join(", ")}: install them, or name an image that has them`);
    const packages = apt.length === 0 ? [] : [`apt-get update && apt-get install -y ${apt.join(" ")}`];
    const lines = this.#lines("install").filter((line) => line !== "skip");
    const isSilent = own === undefined || own === null;
    const usual = isSilent ? (this.#language()?.install ?? "") : "";
    if (usual !== "") this.#notes.push(`install was not said: \`${usual}\` is what Travis does, or nearly`);
    return [...packages, ...this.#lines("before_install"), ...lines, ...(usual === "" ? [] : [usual])];
  }

  #script(): readonly string[] {
    const own = this.#lines("script");
    const before = this.#lines("before_script");
    if (own.length > 1) this.#notes.push("script: the first command that fails ends it, where Travis would go on");
    if (own.length > 0) return [...before, ...own];
    const usual = this.#language()?.script ?? "";
    this.#notes.push(
      usual === ""
        ? "script was not said: say how it is tested"
        : `script was not said: \`${usual}\` is what Travis does, or nearly`,
    );
    return [...before, usual === "" ? NOBODY_KNOWS : usual];
  }

  #language(): (typeof LANGUAGES)[string] | undefined {
    const name = this.#of["language"];
    return isText(name) ? LANGUAGES[name] : undefined;
  }

  /** Travis installs a version; here an image has it. */
  #versions(): { readonly name: string; readonly of: readonly string[] } | null {
    const language = this.#of["language"];
    const known = this.#language();
    if (isText(language) && known === undefined && !WITHOUT_DEFAULTS.includes(language)) {
      this.#notes.push(
        `language ${language}: what Travis does for it by itself is not known here; write it to install and script`,
      );
    }
    if (known === undefined) return null;
    const of = [...new Set(this.#texts(known.versions))];
    const name = known.versions.toUpperCase();
    if (of.length === 0) return null;
    const image =
      of.length === 1
        ? `has ${String(language)} ${of[0] ?? ""}`
        : `has its ${String(language)}, as \`image: ${String(language)}-\${${name}}\``;
    this.#notes.push(`${known.versions}: nothing is installed for it; name an image that ${image}`);
    return of.length === 1 ? null : { name, of };
  }

  /** As they are written: `3.10` is not 3.1. */
  #texts(key: string): readonly string[] {
    return listOf(this.#take(key)).map((one, at) => {
      const path = Array.isArray(this.#of[key]) ? [key, at] : [key];
      const changed = [...this.#document.changed.values()].find((place) => place.path.join("\0") === path.join("\0"));
      return changed?.written ?? wordOf(one);
    });
  }

  #branches(): readonly string[] {
    const { only, except } = fieldsOf(this.#take("branches"));
    const plain = (given: unknown): readonly string[] =>
      listOf(given)
        .filter(isText)
        .flatMap((name) => {
          if (!/^\/.*\/$/.test(name)) return [name];
          this.#notes.push(`branches: the expression ${name} is none here; write a pattern, as release/*`);
          return [];
        });
    const patterns = [...plain(only), ...plain(except).map((name) => `!${name}`)];
    return patterns.length === 0
      ? []
      : ["on:", `  branches: [${patterns.map((one) => JSON.stringify(one)).join(", ")}]`];
  }

  /** Those of all jobs, and a row for each job where there are several. */
  #variables(): { readonly all: Row; readonly each: readonly Row[] } {
    const env = this.#take("env");
    const { global, jobs, matrix } = fieldsOf(env);
    const isSplit = [global, jobs, matrix].some((one) => one !== undefined);
    const rows = (given: unknown): readonly Row[] => distinct(listOf(given).map((one) => this.#row(one)));
    const [all, each] = isSplit ? [rows(global), rows(jobs ?? matrix)] : [[], rows(env)];
    const merged = Object.assign({}, ...all, ...(each.length === 1 ? each : [])) as Row;
    return { all: merged, each: each.length > 1 ? each : [] };
  }

  #row(given: unknown): Row {
    const row: Record<string, string> = {};
    const add = (name: string, value: string): void => {
      const problem = variableProblem(name);
      if (problem === null) row[name] = value;
      else this.#notes.push(`env: ${problem}`);
    };
    if (isText(given)) {
      for (const [, name = "", quoted, single, plain] of given.matchAll(
        /(\w+)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S*))/g,
      )) {
        add(name, quoted ?? single ?? plain ?? "");
      }
      return row;
    }
    for (const [name, value] of Object.entries(fieldsOf(given))) {
      if (name === "secure" || fieldsOf(value)["secure"] !== undefined) {
        const which = name === "secure" ? "one whose name only Travis knows" : name;
        this.#notes.push(
          `env: an encrypted variable, ${which}: keep it on the executors and name it under \`secrets\``,
        );
      } else add(name, wordOf(value));
    }
    return row;
  }

  /** Whatever was not looked at is said. */
  #rest(): void {
    for (const key of Object.keys(this.#of)) {
      if (this.#seen.has(key)) continue;
      this.#notes.push(`${key}: ${LEFT[key] ?? "not known here"}`);
    }
  }
}

/** Why it stays behind, and what there is instead. */
const LEFT: Readonly<Record<string, string>> = {
  after_failure: "`after` runs always, and is not told the outcome",
  after_success: "`after` runs always, and is not told the outcome; what counts belongs at the end of `script`",
  arch: "`runs_on: arch=…` asks for executors that have such a label",
  before_cache: "there are no caches yet",
  before_deploy: "write it into the `run` of an environment",
  cache: "there are no caches yet",
  deploy: "name your environments: `environments: { stage: { run: ./deploy }, prod: { run: ./deploy } }`",
  after_deploy: "write it into the `run` of an environment",
  dist: "name an image",
  if: "`on` says which pushes run",
  jobs: "jobs, stages and what may fail of them are not carried over: see `matrix` and `environments`",
  matrix: "jobs, stages and what may fail of them are not carried over: see `matrix` and `environments`",
  notifications: "`notify` says who is told",
  os: "executors are Linux",
  osx_image: "executors are Linux",
  services: "there are no services yet: start them in `install`, with an image that has them",
  stages: "the order of environments is that of `environments` and `next`",
};

function matrixText(
  versions: { readonly name: string; readonly of: readonly string[] } | null,
  rows: readonly Row[],
): readonly string[] {
  if (versions === null && rows.length === 0) return [];
  const lines = ["matrix:"];
  if (versions !== null)
    lines.push(`  ${versions.name}: [${versions.of.map((one) => JSON.stringify(one)).join(", ")}]`);
  const names = new Set(rows.flatMap((row) => Object.keys(row)));
  const [only] = names;
  if (rows.length > 0 && names.size === 1 && only !== undefined) {
    lines.push(`  ${only}: [${rows.map((row) => JSON.stringify(row[only] ?? "")).join(", ")}]`);
  } else if (rows.length > 0) {
    // Of each version every row, as Travis has it.
    const all =
      versions === null ? rows : versions.of.flatMap((one) => rows.map((row) => ({ [versions.name]: one, ...row })));
    if (versions !== null) lines.pop();
    lines.push("  include:", ...all.map((row) => `    - { ${pairs(row).join(", ")} }`));
  }
  return lines;
}

function mapText(key: string, row: Row): readonly string[] {
  return Object.keys(row).length === 0 ? [] : [`${key}:`, ...pairs(row).map((pair) => `  ${pair}`)];
}

function pairs(row: Row): readonly string[] {
  return Object.entries(row).map(
    ([name, value]) => `${name}: ${/^[0-9]/.test(value) ? JSON.stringify(value) : scalar(value)}`,
  );
}

/** Each job once, and none without any variable. */
function distinct(rows: readonly Row[]): readonly Row[] {
  const byText = new Map(rows.filter((row) => Object.keys(row).length > 0).map((row) => [JSON.stringify(row), row]));
  return [...byText.values()];
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

function wordOf(value: unknown): string {
  return isText(value) ? value : JSON.stringify(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
