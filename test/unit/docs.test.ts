/** The documents tell the truth: what can be compared with the code is. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { VERBS } from "../../bin/commands.ts";
import { EXIT } from "../../bin/exit.ts";
import { variablesOf } from "../../executor/workspace/variables.ts";
import { announce } from "../../protocol/announcements.ts";
import { lint } from "../../protocol/pipeline/plan.ts";
import { BUILD_TRANSITIONS, STAGE_TRANSITIONS } from "../../protocol/states.ts";
import { STREAMS } from "../../protocol/streams.ts";
import { WEAKNESSES } from "../../web/parts/weakness.ts";
import { stagePlan, workFor } from "./coordinator/samples.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const DAY_MS = 86_400_000;
const DOCUMENTS = [
  "README.md",
  "MANUAL.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "CHANGELOG.md",
  "docs/runbook.md",
  "protocol/README.md",
  ...globSync(["docs/adr/*.md", "examples/*/README.md"], { cwd: ROOT }).sort(),
];
const MANUAL = read("MANUAL.md");
const PROTOCOL = read("protocol/README.md");

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** The text of every source file below these folders. */
function sources(...folders: readonly string[]): string {
  return folders
    .flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: ROOT }))
    .sort()
    .map(read)
    .join("\n");
}

/** Everything that `pattern`'s group matches in `text`, each once. */
function all(text: string, pattern: RegExp): readonly string[] {
  const found = [...text.matchAll(pattern)].map((match) => match[1] ?? "");
  assert.ok(found.length > 0, `nothing matches ${String(pattern)} any more: the test has to follow the code`);
  return [...new Set(found)].sort();
}

/** A section of a document: from its heading to the next one of the same or a higher level. */
function section(text: string, heading: string): string {
  const level = /^#+/.exec(heading)?.[0].length ?? 0;
  const lines = text.split("\n");
  const from = lines.indexOf(heading);
  assert.ok(from >= 0, `there is no section ${heading}`);
  let inCode = false;
  const length = lines.slice(from + 1).findIndex((line) => {
    if (line.trimStart().startsWith("```")) inCode = !inCode;
    return !inCode && new RegExp(`^#{1,${level}} `).test(line);
  });
  return lines.slice(from, length < 0 ? undefined : from + 1 + length).join("\n");
}

/** Rows of the tables in `text`, as cells, without heads. */
function rows(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("|") && !line.startsWith("|-"))
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    );
}

function generated(name: string): string {
  const text = new RegExp(`<!-- ${name}: generated -->\n([^]*?)\n<!-- end -->`).exec(PROTOCOL)?.[1];
  assert.ok(text !== undefined, `protocol/README.md has no generated ${name}`);
  return text;
}

function table(lines: readonly (readonly string[])[]): string {
  const [head = [], ...body] = lines;
  return [head, head.map(() => "---"), ...body].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

test("every error code that can be raised has a section, and the anchor that the API links to", () => {
  const raised = all(sources("bin", "coordinator", "executor", "kit", "protocol"), /\b(TOR_[A-Z0-9_]+[A-Z])\b/g);
  for (const code of raised) {
    const anchor = code.toLowerCase().replaceAll("_", "-");
    assert.ok(MANUAL.includes(`<a id="${anchor}"></a>\n### ${code}\n`), `MANUAL.md has no section ${code}`);
  }
  assert.deepEqual(all(MANUAL, /^### (TOR_[A-Z0-9_]+)$/gm), raised);
});

for (const [heading, path] of [
  ["### Coordinator", "coordinator/config.ts"],
  ["### Executor", "executor/config.ts"],
] as const) {
  test(`every variable of ${path} is in the manual with its default, and no other is`, () => {
    const text = read(path);
    const listed = new Map(rows(section(MANUAL, heading)).map(([name = "", value = ""]) => [name, value]));
    listed.delete("variable");
    const settings = [...text.matchAll(/^ {2}((?:TOROID|AWS)_[A-Z0-9_]+): ([^]*?),\n(?= {2}[A-Z]|\}\);)/gm)];
    assert.deepEqual([...listed.keys()].sort(), settings.map(([, name]) => `\`${name ?? ""}\``).sort());
    for (const [, name = "", definition = ""] of settings) {
      const value = /\.default\("?([^")]+)"?\)/.exec(definition)?.[1];
      if (value === undefined || value.includes("join(")) continue;
      const plain = value.replaceAll("_", "");
      assert.equal(listed.get(`\`${name}\``), `\`${plain}\``, `the default of ${name}`);
    }
  });
}

test("every name in `weak` is explained on a stage's page and in the manual", () => {
  const limits = all(read("sandbox/limits.c"), /^ {4}\[LIMIT_\w+\] = \{"(\w+)"/gm);
  const names = [
    ...all(read("sandbox/weak.c"), /^ {4}\[WEAK_\w+\] = \{"([a-z-]+)",/gm),
    ...limits.map((limit) => `no-limit-${limit}`),
  ];
  assert.deepEqual(
    names.filter((name) => WEAKNESSES[name] === undefined),
    [],
  );
  const told = section(MANUAL, "### What a host may lack");
  assert.deepEqual(
    names.filter((name) => !told.includes(`\`${name}\``)),
    [],
  );
});

test("every variable that the programs read besides is in the manual", () => {
  const text = sources("bin", "coordinator", "executor", "kit");
  for (const name of all(text, /(?:process\.env|environment)\["(TOROID_[A-Z_]+)"\]/g))
    assert.ok(MANUAL.includes(`\`${name}\``), name);
});

test("the variables of a script are those that it gets", () => {
  const work = workFor(stagePlan("build"));
  assert.ok(work.kind === "stage");
  const set = Object.keys(variablesOf({ repository: "a/b", number: 1, stage: "build", round: 1 }, work, 1, null));
  const told = rows(section(MANUAL, "## What a script can rely on"))
    .flatMap(([names = ""]) => names.split(", "))
    .filter((name) => name !== "variable" && !name.includes("<"))
    .map((name) => name.replaceAll("`", ""));
  assert.deepEqual(told.sort(), set.sort());
});

test("every command and every flag of it is in the manual, and no other command is", () => {
  const commands = section(MANUAL, "## Command line");
  const told = rows(commands).flatMap(([name = ""]) => (name.startsWith("`toroid ") ? [name] : []));
  assert.deepEqual(told.sort(), VERBS.map(({ usage }) => `\`toroid ${usage.replaceAll("|", "\\|")}\``).sort());
  for (const { usage, flags } of VERBS) {
    const name = /^[a-z -]*[a-z]/.exec(usage)?.[0] ?? "";
    const line = commands.split("\n").find((one) => new RegExp(`^\\| \`toroid ${name}[ \`]`).test(one)) ?? "";
    for (const { flags: flag } of flags) {
      const long = /--[a-z-]+/.exec(flag)?.[0] ?? flag;
      assert.ok(line.includes(long), `${long} of toroid ${name}`);
    }
  }
});

test("every exit code is in the manual", () => {
  const told = rows(section(MANUAL, "### Exit codes")).flatMap(([code = ""]) => (/^\d+$/.test(code) ? [code] : []));
  assert.deepEqual(told, Object.values(EXIT).map(String));
});

test("every route of the API is in the manual, and no other is", () => {
  const code = sources("coordinator/http");
  const routes = [...code.matchAll(/app\.(get|post|delete)\(\s*"(\/[^"]+)"/g)].map(
    ([, method = "", path = ""]) => `${method.toUpperCase()} \`${path}\``,
  );
  const told = rows(section(MANUAL, "## HTTP API")).flatMap(([route = ""]) =>
    /^(GET|POST|DELETE) /.test(route) ? [route] : [],
  );
  assert.deepEqual(told.sort(), routes.sort());
});

test("every type of event is in the manual, and no other is", () => {
  const pairs = sources("coordinator").matchAll(/\{ subject: "([a-z]+)", predicate: "([a-z]+)" \}/g);
  const at = { repository: "a/b", build: 1, environment: null };
  const types = [...pairs].map(
    ([, subject, predicate]) => announce({ subject, predicate } as never, at, "id", 0, {}).event.type,
  );
  assert.ok(types.length > 15);
  const told = all(section(MANUAL, "## Events"), /^\| `(dev\.[a-z.]+)`/gm);
  assert.deepEqual(told, [...new Set(types)].sort());
});

test("every key of .toroid.yml is in the manual", () => {
  interface Schema {
    readonly properties: Readonly<Record<string, unknown>>;
  }
  const schema = JSON.parse(read("protocol/pipeline/toroid.schema.json")) as Schema;
  const text = section(MANUAL, "## .toroid.yml");
  for (const key of Object.keys(schema.properties)) assert.ok(text.includes(`\`${key}\``), key);
  // Of an environment, as the schema's source lists them.
  const environment = /const environment = z\.strictObject\(\n {2}\{\n([^]*?)\n {2}\},\n/.exec(
    read("protocol/pipeline/schema.ts"),
  )?.[1];
  for (const key of all(environment ?? "", /^ {4}([a-z_]+):/gm))
    assert.ok(text.includes(`\`${key}\``) || text.includes(`environments.*.${key}\``), key);
});

test("what the manual calls not supported yet is, and nothing is left out", () => {
  const listed = rows(section(MANUAL, "### Understood, and refused as not supported yet")).slice(1);
  for (const [key = "", example = ""] of listed) {
    const problems = lint("example", `script: make\n${example.replaceAll("`", "")}\n`);
    const kinds = problems.map((problem) => `${problem.kind} ${problem.message}`);
    assert.ok(problems.length > 0 && problems.every(({ kind }) => kind === "unsupported"), `${key}: ${kinds.join()}`);
  }
  const keys = listed.map(([key = ""]) => key.replaceAll("`", ""));
  const known = all(read("protocol/pipeline/support.ts"), /\bkey: "([^"]+)"/g);
  assert.deepEqual(keys.sort(), [...known].sort());
});

test("examples of .toroid.yml in the documents can be carried out", () => {
  let count = 0;
  for (const path of DOCUMENTS) {
    for (const [, yaml = ""] of read(path).matchAll(/```yaml\n(# \.toroid\.yml\n[^]*?)```/g)) {
      count += 1;
      assert.deepEqual(
        lint(path, yaml).map(({ line, message }) => `${line}: ${message}`),
        [],
        path,
      );
    }
  }
  assert.ok(count >= 4, `${count} examples`);
});

for (const [name, states] of [
  ["stage states", STAGE_TRANSITIONS],
  ["build states", BUILD_TRANSITIONS],
] as const) {
  test(`the table of ${name} is the code's`, () => {
    const entries = Object.entries<Readonly<Record<string, string>>>(states);
    const events = [...new Set(entries.flatMap(([, row]) => Object.keys(row)))];
    const body = entries.map(([from, row]) => [`**${from}**`, ...events.map((event) => row[event] ?? "")]);
    assert.equal(generated(name), table([["", ...events], ...body]));
  });
}

test("the table of streams is the code's", () => {
  const lines = rows(generated("streams")).slice(1);
  assert.deepEqual(
    lines.map(([name, , share, keeps]) => [name, share, keeps]),
    STREAMS.map((spec) => {
      const keeps = [
        ...(spec.retention === "workqueue" ? ["until done"] : []),
        ...(spec.maxMessagesPerSubject > 0 ? [`${spec.maxMessagesPerSubject} a subject`] : []),
        ...(spec.maxAgeMs > 0 ? [`${spec.maxAgeMs / DAY_MS} days`] : []),
      ];
      return [`\`${spec.name}\``, `${Math.round(spec.share * 100)} %`, keeps.join(", ") || "all"];
    }),
  );
  for (const [at, spec] of STREAMS.entries()) {
    for (const subject of spec.subjects) {
      if (!subject.startsWith("$")) assert.ok(lines[at]?.[1]?.includes(`\`${subject}\``), subject);
    }
  }
});

test("links between the documents lead somewhere", () => {
  for (const path of DOCUMENTS) {
    for (const [, target = ""] of read(path).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file = "", anchor] = target.split("#");
      const to = file === "" ? path : join(dirname(path), file);
      assert.ok(existsSync(join(ROOT, to)), `${path} links to ${target}`);
      if (anchor !== undefined) assert.ok(anchorsOf(read(to)).has(anchor), `${path} links to ${target}`);
    }
  }
});

test("the files of examples have no problem", () => {
  const files = globSync("examples/*/.toroid.yml", { cwd: ROOT });
  assert.ok(files.length > 0);
  for (const path of files) assert.deepEqual(lint(path, read(path)), [], path);
});

/** As forges make them of headings, and those written out. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = ""]) => id)]);
}

test("lines are 120 characters at most", () => {
  // But for the heads of generated tables, which have as many columns as the code.
  const long = DOCUMENTS.flatMap((path) =>
    read(path)
      .split("\n")
      .flatMap((line, at) => (Array.from(line).length > 120 && !line.startsWith("|  |") ? [`${path}:${at + 1}`] : [])),
  );
  assert.deepEqual(long, []);
});
