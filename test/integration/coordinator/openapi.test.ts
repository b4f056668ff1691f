/** The description of the API: whole, valid, and what the coordinator answers is as it says. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describedRoutes } from "../../../coordinator/http/openapi/summaries.ts";
import { Browser } from "../../support/browser.ts";
import { needs } from "../../support/skips.ts";
import { REPOSITORY } from "../../unit/coordinator/samples.ts";
import { type Api, BUILDS, startApi, startBuild } from "./api-rig.ts";
import { runStage } from "./rig.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..");
const LIMIT = { timeout: 60_000 };
let api: Api;
let document: Document;

interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: object;
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>
  >;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

before(async () => {
  api = await startApi();
  document = (await (await api.get("/api/openapi.json")).json()) as Document;
});

after(async () => {
  await api?.[Symbol.asyncDispose]();
});

test("it is valid OpenAPI 3.1", LIMIT, async () => {
  const result = await new Validator().validate(JSON.parse(JSON.stringify(document)));
  assert.deepEqual([result.valid, result.errors], [true, undefined]);
  assert.match(document.openapi, /^3\.1\./);
});

test("every route that is registered is in it, with a summary, a tag, its parameters and how it says no", () => {
  const code = globSync("coordinator/http/**/*.ts", { cwd: ROOT }).map((path) =>
    readFileSync(join(ROOT, path), "utf8"),
  );
  const pattern = /\bapp\.(get|post|put|patch|delete)\(\s*"(\/[^"]+)"/g;
  const registered = code.flatMap((text) =>
    [...text.matchAll(pattern)].map(([, method = "", url = ""]) => `${method.toUpperCase()} ${url}`),
  );
  assert.ok(registered.length > 40);
  const inDocument = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(
      (method) => `${method.toUpperCase()} ${path.replace("{*}", "*").replaceAll(/\{([a-z]+)\}/gi, ":$1")}`,
    ),
  );
  assert.deepEqual(inDocument.toSorted(byText), registered.toSorted(byText));
  assert.deepEqual(describedRoutes().toSorted(byText), registered.toSorted(byText));
  for (const [path, method, operation] of operations()) {
    const name = `${method} ${path}`;
    assert.ok((operation.summary ?? "").length > 5 && operation.tags?.length === 1, name);
    const inPath = [...path.matchAll(/\{([a-z]+|\*)\}/gi)].map(([, parameter]) => parameter);
    const told = (operation.parameters ?? []).filter((one) => one.in === "path").map((one) => one.name);
    assert.deepEqual(told.toSorted(byText), inPath.map(String).toSorted(byText), name);
    const { "500": broken, "400": wrong } = operation.responses;
    if (path.startsWith("/api/v1/")) assert.ok(broken !== undefined && wrong !== undefined, name);
  }
});

test("what the coordinator answers is as it says: answers, lists, and every way to say no", LIMIT, async () => {
  await startBuild(api);
  await runStage(api.jet, api.actors, { repository: REPOSITORY, number: 1, stage: "build", round: 1 });
  const build = `${BUILDS}/${REPOSITORY}/1`;
  const prod = `/api/v1/environments/${REPOSITORY}/prod`;
  const asked: readonly (readonly [method: "GET" | "POST", path: string, status: number, body?: unknown])[] = [
    ["GET", "/healthz", 200],
    ["GET", "/readyz", 200],
    ["GET", "/api/v1/repositories", 200],
    ["GET", BUILDS, 200],
    ["GET", `${BUILDS}?limit=0`, 400],
    ["GET", build, 200],
    ["GET", `${build}9`, 404],
    ["GET", `${build}/config`, 200],
    ["GET", `${build}/stages/build/attempts`, 200],
    ["POST", `${build}/stages/biuld/retry`, 404, {}],
    ["POST", BUILDS, 404, { repository: "acme/nobody", ref: "main" }],
    ["POST", BUILDS, 202, { repository: REPOSITORY, ref: "main", key: "k" }],
    ["POST", `${prod}/pause`, 200, { reason: "freeze", until: null }],
    ["POST", `${prod}/pause`, 400, {}],
    ["POST", `${prod}/resume`, 200],
    ["POST", `${prod}/rollback`, 409, { reason: "bad" }],
    ["GET", "/api/v1/amis", 409],
    ["GET", "/api/v1/executors", 200],
    ["POST", "/api/v1/executors/nobody/drain", 404, {}],
    ["GET", "/api/v1/dead-letters", 200],
    ["GET", "/api/v1/dead-letters/0000000000000000", 404],
    ["GET", "/api/v1/settings", 200],
    ["GET", "/api/v1/audit", 200],
    ["GET", "/api/v1/me", 200],
    ["GET", "/api/v1/deliveries", 200],
    // Last, for it ends by itself what others ask about.
    ["POST", `${build}/cancel`, 200, { reason: "enough" }],
  ];
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  for (const [method, path, status, body] of asked) {
    const answer = method === "GET" ? await api.get(path) : await api.post(path, body ?? {});
    const text: unknown = await answer.json();
    assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(text)}`);
    const schema = schemaOf(method, path.replace(/\?.*/, ""), status);
    assert.ok(schema !== null, `${method} ${path} does not say what ${status} is`);
    const isAsSaid = ajv.compile(schema);
    assert.ok(isAsSaid(text), `${method} ${path} ${status}: ${ajv.errorsText(isAsSaid.errors)}`);
  }
});

test("its reader works in a browser, under its policy, and asks nobody else", LIMIT, async (t) => {
  if (!needs(t, { program: "chromium" })) return;
  await using browser = await Browser.start();
  const tab = await browser.open(`${api.url}/api/docs`);
  await tab.page.getByText("/api/v1/builds/{owner}/{repo}/{number}/cancel").click();
  await tab.page.getByText("drop what waits of a build").first().waitFor();
  await tab.page.getByText("TOR_CONFLICT").first().waitFor();
  assert.deepEqual(
    tab.complaints.filter((one) => !one.startsWith("request: data:")),
    [],
  );
  const page = await api.get("/api/docs/static/index.html");
  assert.match(page.headers.get("content-security-policy") ?? "", /script-src 'self';/);
  const others = await api.get(BUILDS);
  assert.ok(!(others.headers.get("content-security-policy") ?? "").includes("sha256-"), "only the reader's is wider");
});

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}

function operations(): readonly (readonly [path: string, method: string, operation: Operation])[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [path, method, operation] as const),
  );
}

/** Of the answer of the route that takes a path: the one with the fewest parameters. */
function schemaOf(method: string, path: string, status: number): object | null {
  const fitting = operations()
    .filter(([, of]) => of === method.toLowerCase())
    .filter(([template]) => new RegExp(`^${template.replaceAll(/\{[a-z]+\}/gi, "[^/]+")}$`, "i").test(path))
    .toSorted(([a], [b]) => a.split("{").length - b.split("{").length);
  return fitting[0]?.[2].responses[String(status)]?.content?.["application/json"]?.schema ?? null;
}
