import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "..", "..");
const ROOMS = ["protocol", "kit", "coordinator", "executor", "bin", "web"] as const;
const LONGEST_FILE = 400;

interface Import {
  /** As written. */
  readonly name: string;
  /** `import type`, or nothing but types in braces: gone before the program runs. */
  readonly isType: boolean;
}

interface Source {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

const IMPORT = /^\s*(?:import|export)\s+(type\s)?(?:([^"';]*?)\sfrom\s+)?"([^"]+)"|\bimport\("([^"]+)"\)/gm;

function importsOf(text: string): readonly Import[] {
  return [...text.matchAll(IMPORT)].map(([, type, names = "", written, dynamic]) => {
    const inBraces = /^\{(.*)\}$/s.exec(names.trim())?.[1]?.split(",") ?? [];
    const parts = inBraces.map((part) => part.trim()).filter((part) => part !== "");
    const onlyTypes = parts.length > 0 && parts.every((part) => part.startsWith("type "));
    return { name: written ?? dynamic ?? "", isType: type !== undefined || onlyTypes };
  });
}

const SOURCES: readonly Source[] = ROOMS.flatMap((room) =>
  globSync(`${room}/**/*.{ts,tsx}`, { cwd: ROOT, exclude: ["**/node_modules/**", "**/dist/**"] }).map((path) => {
    const text = readFileSync(join(ROOT, path), "utf8");
    return { path, text, imports: importsOf(text) };
  }),
);

/** What a relative import means, from the root of the repository; null for a package. */
function targetOf(from: Source, { name }: Import): string | null {
  return name.startsWith(".") ? relative(ROOT, join(ROOT, dirname(from.path), name)) : null;
}

/** Imports of ours by ours, as `file → file`, that `isWrong` says may not be. */
function wrongOnes(isWrong: (from: string, to: string, how: Import) => boolean): readonly string[] {
  return SOURCES.flatMap((source) =>
    source.imports.flatMap((one) => {
      const to = targetOf(source, one);
      return to !== null && isWrong(source.path, to, one) ? [`${source.path} → ${to}`] : [];
    }),
  );
}

/** Files that import a package and are not where it lives. */
function strangers(packageName: string, homes: readonly (string | RegExp)[]): readonly string[] {
  const isHome = (path: string): boolean =>
    homes.some((home) => (typeof home === "string" ? path === home : home.test(path)));
  return SOURCES.filter(({ imports }) => imports.some(({ name }) => name === packageName))
    .map(({ path }) => path)
    .filter((path) => !isHome(path));
}

const room = (path: string): string => path.split("/")[0] ?? "";

test("the scanner reads every way to import", () => {
  const text = [
    'import { a } from "./a.ts";',
    'import type { B } from "./b.ts";',
    'import { type C, type D } from "./c.ts";',
    'import { type E, f } from "./d.ts";',
    'import {\n  type G,\n  type H,\n} from "./e.ts";',
    'export { i } from "./f.ts";',
    'import "./g.css";',
    'const j = await import("./h.ts");',
    "// it is no import to say from here",
  ].join("\n");
  assert.deepEqual(
    importsOf(text).map(({ name, isType }) => `${name}${isType ? " type" : ""}`),
    ["./a.ts", "./b.ts type", "./c.ts type", "./d.ts", "./e.ts type", "./f.ts", "./g.css", "./h.ts"],
  );
  assert.ok(SOURCES.length > 100, `only ${SOURCES.length} files found`);
});

test("every relative import leads to a file that is there, with its ending", () => {
  const paths = new Set(SOURCES.map(({ path }) => path));
  assert.deepEqual(
    wrongOnes((_from, to) => !/\.[a-z]+$/.test(to) || (/\.tsx?$/.test(to) && !paths.has(to))),
    [],
  );
});

test("protocol stands on nothing of ours", () => {
  assert.deepEqual(
    wrongOnes((from, to) => room(from) === "protocol" && room(to) !== "protocol"),
    [],
  );
});

test("protocol does no input, no output, and reads no clock", () => {
  const tool = "protocol/pipeline/write-json-schema.ts";
  const protocol = SOURCES.filter(({ path }) => room(path) === "protocol" && path !== tool);
  const modules = protocol.flatMap(({ path, imports }) =>
    imports.filter(({ name }) => name.startsWith("node:")).map(({ name }) => `${path} → ${name}`),
  );
  assert.deepEqual(modules, []);
  const impure = /\b(Date\.now|Math\.random|performance\.now|process\.(env|exit|std)|console\.|fetch\(|setTimeout\()/;
  assert.deepEqual(
    protocol.filter(({ text }) => impure.test(text)).map(({ path }) => path),
    [],
  );
});

test("kit stands on protocol alone", () => {
  assert.deepEqual(
    wrongOnes((from, to) => room(from) === "kit" && !["kit", "protocol"].includes(room(to))),
    [],
  );
});

test("coordinator and executor stand on kit and protocol, and never know each other", () => {
  for (const daemon of ["coordinator", "executor"]) {
    assert.deepEqual(
      wrongOnes((from, to) => room(from) === daemon && ![daemon, "kit", "protocol"].includes(room(to))),
      [],
    );
  }
});

test("actors stand on protocol alone, and no package but zod", () => {
  const isActor = (path: string): boolean => path.startsWith("coordinator/actors/");
  assert.deepEqual(
    wrongOnes((from, to) => isActor(from) && !isActor(to) && room(to) !== "protocol"),
    [],
  );
  const packages = SOURCES.filter(({ path }) => isActor(path)).flatMap(({ imports }) =>
    imports.map(({ name }) => name).filter((name) => !name.startsWith(".")),
  );
  assert.deepEqual([...new Set(packages)], ["zod"]);
});

/** Commands that are a part of the system, or start parts of it; all others speak HTTP. */
const COMPOSING =
  /^bin\/(commands\/(start|coordinator|executor|image|run|shell|doctor|notify|token)\.ts|(start|run)\/.*)$/;

test("commands speak HTTP, and import of the rest only protocol", () => {
  assert.deepEqual(
    wrongOnes((from, to) => room(from) === "bin" && !["bin", "protocol"].includes(room(to)) && !COMPOSING.test(from)),
    [],
  );
});

test("pages import of the rest only protocol's types", () => {
  assert.deepEqual(
    wrongOnes((from, to, { isType }) => {
      if (room(from) !== "web" || room(to) === "web") return false;
      return room(to) !== "protocol" || !isType;
    }),
    [],
  );
});

const HOMES: Readonly<Record<string, readonly (string | RegExp)[]>> = {
  "@aws-sdk/client-s3": ["executor/artifacts/bucket.ts"],
  "@aws-sdk/client-sqs": [/^coordinator\/intake\//],
  "@aws-sdk/client-ec2": ["kit/ec2.ts", /^coordinator\/artifacts\//, /^executor\/bake(\.ts$|\/)/],
  "simple-git": [/^executor\/checkout(\.ts$|\/)/],
  execa: [/^executor\//, /^bin\/start\//, "bin/commands/notify.ts"],
  ssh2: [/^executor\/images\/packer\/inside\//],
  msgpackr: ["protocol/codec.ts"],
  "@octokit/auth-app": ["coordinator/notify/channels/github/api.ts"],
  "@octokit/request": ["coordinator/notify/channels/github/api.ts"],
  nodemailer: ["coordinator/notify/channels/email.ts"],
  standardwebhooks: ["coordinator/notify/channels/webhook.ts"],
  pino: ["kit/log.ts"],
  fauxqs: ["kit/queue-server.ts", /^kit\/queue-server\//],
  nats: ["kit/jetstream.ts"],
  fastify: [/^coordinator\/http\//],
  "@fastify/static": [/^coordinator\/http\//],
  "prom-client": [/^coordinator\/metrics\//],
  "badge-maker": ["coordinator/http/badges.ts"],
  "@fastify/swagger": [/^coordinator\/http\/openapi\//],
  "@fastify/swagger-ui": [/^coordinator\/http\/openapi\//],
  "@fastify/rate-limit": [/^coordinator\/http\//],
  "@fastify/cookie": [/^coordinator\/http\//],
  oauth4webapi: ["coordinator/access/github.ts"],
  commander: ["bin/main.ts", "bin/program.ts"],
  yaml: [/^protocol\/pipeline\//],
  preact: [/^web\//],
  "preact/hooks": [/^web\//],
};

for (const [packageName, homes] of Object.entries(HOMES)) {
  test(`${packageName} has one home`, () => assert.deepEqual(strangers(packageName, homes), []));
}

test("nothing imports in a circle", () => {
  const graph = new Map(
    SOURCES.map((source) => [
      source.path,
      source.imports.filter(({ isType }) => !isType).flatMap((one) => targetOf(source, one) ?? []),
    ]),
  );
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const begin = trail.indexOf(path);
    if (begin !== -1) circles.push([...trail.slice(begin), path].join(" → "));
    if (begin !== -1 || done.has(path)) return;
    for (const to of graph.get(path) ?? []) visit(to, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  assert.deepEqual(circles, []);
});

test("nothing of ours is a default export, but where a tool wants one", () => {
  const exporting = SOURCES.filter(({ text }) => /^export default\b|\bas default\b/m.test(text)).map(
    ({ path }) => path,
  );
  assert.deepEqual(
    exporting.filter((path) => path !== "web/vite.config.ts"),
    [],
  );
});

test(`no source file has more than ${LONGEST_FILE} lines`, () => {
  const long = SOURCES.filter(({ text }) => text.split("\n").length - 1 > LONGEST_FILE).map(({ path }) => path);
  assert.deepEqual(long, []);
});

test("no module works when it is imported", () => {
  const entries = /^(bin\/toroid\.ts|bin\/main\.ts|web\/.*|protocol\/pipeline\/write-json-schema\.ts)$/;
  const working = SOURCES.filter(({ path }) => !entries.test(path)).flatMap(({ path, text }) =>
    /^(await |void [a-z]|for \(|if \(|while \()/m.test(text) ? [path] : [],
  );
  assert.deepEqual(working, []);
});
