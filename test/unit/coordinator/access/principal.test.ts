import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Grant,
  localPrincipal,
  NOBODY,
  type Principal,
  reaches,
  readableBy,
  scopeOn,
  widestScope,
} from "../../../../coordinator/access/principal.ts";

function somebody(...limits: readonly (readonly Grant[])[]): Principal {
  return { name: "ada", via: "token x", kind: "token", account: null, rests: [], limits };
}

test("each role includes those before it, and `nothing` is open to everybody", () => {
  const scopes = ["none", "read", "operate", "admin"] as const;
  const table = scopes.map((scope) =>
    (["nothing", "read", "operate", "admin"] as const).filter((need) => reaches(scope, need)).join(" "),
  );
  assert.deepEqual(table, ["nothing", "nothing read", "nothing read operate", "nothing read operate admin"]);
});

test("whoever is not signed in may do nothing, and whoever is local everything", () => {
  assert.equal(widestScope(NOBODY), "none");
  assert.equal(scopeOn(NOBODY, "acme/api"), "none");
  assert.equal(scopeOn(localPrincipal("local"), null), "admin");
  assert.equal(readableBy(localPrincipal("local")), null);
});

test("the widest of the roles that name a repository counts", () => {
  const ada = somebody([
    { scope: "read", repositories: null },
    { scope: "operate", repositories: ["acme/*"] },
    { scope: "admin", repositories: ["acme/api"] },
  ]);
  assert.deepEqual(
    ["acme/api", "ACME/Api", "acme/web", "other/api", null].map((repository) => scopeOn(ada, repository)),
    ["admin", "admin", "operate", "read", "read"],
  );
  assert.equal(widestScope(ada), "admin");
});

test("a token is held to itself and to its owner", () => {
  const owner: readonly Grant[] = [{ scope: "operate", repositories: ["acme/*"] }];
  const wide = somebody([{ scope: "admin", repositories: null }], owner);
  assert.deepEqual(
    [scopeOn(wide, "acme/api"), scopeOn(wide, "other/api"), scopeOn(wide, null)],
    ["operate", "none", "none"],
  );
  const narrow = somebody([{ scope: "read", repositories: ["acme/web", "other/api"] }], owner);
  assert.deepEqual(
    [scopeOn(narrow, "acme/web"), scopeOn(narrow, "acme/api"), scopeOn(narrow, "other/api")],
    ["read", "none", "none"],
  );
});

test("a pattern ends where the name's owner does", () => {
  const ada = somebody([{ scope: "read", repositories: ["acme/*"] }]);
  assert.deepEqual(
    ["acme/api", "acme/api/deep", "acme-evil/api", "evil/acme/api", "acme/"].map((one) => scopeOn(ada, one)),
    ["read", "none", "none", "none", "read"],
  );
});
