import assert from "node:assert/strict";
import { test } from "node:test";
import fastify, { type FastifyInstance } from "fastify";
import { NOBODY, type Principal } from "../../../../coordinator/access/principal.ts";
import { guardRoutes, openToAll } from "../../../../coordinator/http/access.ts";
import { sendError } from "../../../../coordinator/http/errors.ts";
import { requestIdOf } from "../../../../coordinator/http/request-id.ts";

const READER: Principal = {
  name: "ada",
  via: "token x",
  kind: "token",
  account: null,
  rests: [],
  limits: [[{ scope: "operate", repositories: ["acme/api"] }]],
};

function guarded(principal: Principal | Promise<Principal>): FastifyInstance {
  const app = fastify();
  app.decorateRequest("refusedWith", null);
  app.setErrorHandler<Error>(sendError);
  guardRoutes(app, () => principal);
  return app;
}

test("a route that does not say what it needs keeps the server from starting", async () => {
  await using app = guarded(NOBODY);
  app.get("/said", { config: { needs: "read" } }, () => "yes");
  app.get("/silent", () => "no");
  app.post("/silent-too", { config: { action: "x" } }, () => "no");
  await assert.rejects(async () => app.ready(), /routes without `needs`: \/silent, \/silent-too$/);
});

test("a plugin whose routes are declared open may be", async () => {
  await using app = guarded(NOBODY);
  await app.register(async (scope) => {
    openToAll(scope);
    await scope.register(async (plugin) => void plugin.get("/page", () => "page"));
  });
  await app.ready();
  assert.equal((await app.inject("/page")).body, "page");
});

for (const [how, principal] of [
  ["at once", READER],
  ["after a while", Promise.resolve(READER)],
] as const) {
  test(`who is known ${how} gets what their role reaches, on their repositories`, async () => {
    await using app = guarded(principal);
    const answer = (): string => "yes";
    app.get("/r/:owner/:repo", { config: { needs: "read" } }, answer);
    app.post("/r/:owner/:repo", { config: { needs: "operate" } }, answer);
    app.delete("/r/:owner/:repo", { config: { needs: "admin" } }, answer);
    app.get("/list", { config: { needs: "read" } }, answer);
    app.post("/machine", { config: { needs: "operate" } }, answer);
    app.post("/body", { config: { needs: "operate", repositoryIn: "body" } }, answer);
    app.get("/open", { config: { needs: "nothing" } }, answer);
    const status = async (method: "GET" | "POST" | "DELETE", url: string, body?: object): Promise<number> =>
      (await app.inject({ method, url, ...(body === undefined ? {} : { payload: body }) })).statusCode;
    assert.deepEqual(
      [
        await status("GET", "/r/acme/api"),
        await status("POST", "/r/acme/api"),
        await status("DELETE", "/r/acme/api"),
        await status("GET", "/r/acme/web"),
        await status("POST", "/r/*/*"),
        await status("GET", "/list"),
        await status("POST", "/machine"),
        await status("POST", "/body", { repository: "acme/api" }),
        await status("POST", "/body", { repository: "acme/web" }),
        await status("POST", "/body"),
        await status("GET", "/open"),
        await status("GET", "/r/acme%2Fapi/x"),
      ],
      [200, 200, 403, 403, 403, 200, 403, 200, 403, 403, 200, 403],
    );
  });
}

test("who is not signed in is told so, and nothing of what is there", async () => {
  await using app = guarded(NOBODY);
  app.get("/r/:owner/:repo", { config: { needs: "read" } }, () => "yes");
  const answer = await app.inject("/r/acme/api");
  assert.equal(answer.statusCode, 401);
  const { code, message } = answer.json<{ code: string; message: string }>();
  assert.equal(code, "TOR_SIGNED_OUT");
  assert.doesNotMatch(message, /acme/);
});

test("an id that cannot go into a log as it is, is not taken", () => {
  const idOf = (given: string): string => requestIdOf({ headers: { "x-request-id": given } });
  assert.equal(idOf("abc-1.2_3"), "abc-1.2_3");
  for (const bad of ["", "a b", "a\nb", 'a"b', "x".repeat(65), "é"]) assert.match(idOf(bad), /^[0-9a-f-]{36}$/, bad);
});
