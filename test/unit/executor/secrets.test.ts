import assert from "node:assert/strict";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { Secrets, whatLeaks } from "../../../executor/secrets.ts";
import type { StageWork } from "../../../executor/workspace/variables.ts";
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";
import { stagePlan, workFor } from "../coordinator/samples.ts";

const FROM = ["https://git.example/", "git@git.example:"];
const GIT = { remote: "https", allowLocal: true } as const;

async function dirWith(files: Readonly<Record<string, string>>): Promise<TempDir> {
  const dir = await tempDir("toroid-secrets-");
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir.path, path)), { recursive: true });
    await writeFile(join(dir.path, path), text, { mode: 0o600 });
  }
  return dir;
}

function work(stage: Partial<StagePlan>, over: Partial<StageWork> = {}): StageWork {
  const made = workFor(stagePlan("build", stage));
  assert.ok(made.kind === "stage");
  return { ...made, ...over };
}

function secretsIn(dir: string | null): Secrets {
  return new Secrets({ dir, from: FROM }, GIT);
}

test("a stage gets what it names, publish what that names, and neither anything else", async () => {
  await using dir = await dirWith({
    "acme/api/A": "value of a\n",
    "acme/api/B": "value of b",
    "acme/api/C": "value of c",
  });
  const secrets = secretsIn(dir.path);
  const stage = work({ secrets: ["A"], publishSecrets: ["B"] });
  assert.deepEqual(await secrets.grant("acme/api", stage, true), {
    stage: { A: "value of a" },
    publish: { B: "value of b" },
  });
  assert.deepEqual(await secrets.grant("acme/api", stage, false), { stage: { A: "value of a" }, publish: {} });
  assert.deepEqual(await secrets.grant("acme/api", work({}), true), { stage: {}, publish: {} });
});

test("an environment's own comes before the repository's, and is for that environment alone", async () => {
  await using dir = await dirWith({
    "acme/api/KEY": "of all\n",
    "acme/api/prod/KEY": "of prod\n",
    "acme/api/prod/DEPLOY": "of prod too",
  });
  const secrets = secretsIn(dir.path);
  const given = async (environment: string | null, name: string) =>
    (await secrets.grant("acme/api", work({ environment, secrets: [name] }), false)).stage[name];
  assert.equal(await given("prod", "KEY"), "of prod");
  assert.equal(await given("stage", "KEY"), "of all");
  assert.equal(await given(null, "KEY"), "of all");
  assert.equal(await given("prod", "DEPLOY"), "of prod too");
  await assert.rejects(given("stage", "DEPLOY"), { code: "TOR_SECRET_MISSING" });
  await assert.rejects(given(null, "DEPLOY"), { code: "TOR_SECRET_MISSING" });
});

test("no repository gets another's, and none gets its own when it comes from elsewhere", async () => {
  await using dir = await dirWith({ "acme/api/KEY": "of the api", "acme/web/OTHER": "of the web" });
  const secrets = secretsIn(dir.path);
  const asks = (repository: string, https: string, ref = "refs/heads/main") => {
    const made = work({ secrets: ["KEY"] });
    return secrets.grant(repository, { ...made, remote: { https, ssh: null }, source: { ...made.source, ref } }, false);
  };
  assert.equal((await asks("acme/api", "https://git.example/acme/api.git")).stage["KEY"], "of the api");
  assert.equal((await asks("acme/api", "https://git.example/acme/api", "refs/tags/v1")).stage["KEY"], "of the api");
  await assert.rejects(asks("acme/web", "https://git.example/acme/web.git"), {
    code: "TOR_SECRET_MISSING",
    message: `the stage asks for the secret KEY: there is no ${dir.path}/acme/web/KEY on this executor`,
  });
  for (const [repository, address, ref] of [
    ["acme/api", "https://evil.example/acme/api.git"],
    ["acme/api", "https://git.example/evil/api.git"],
    ["acme/api", "https://git.example/acme/api/../../evil/api.git"],
    ["acme/api", "https://git.example.evil/acme/api.git"],
    ["acme/api", "/tmp/acme/api"],
    ["acme/api", "https://git.example/acme/api.git", "refs/pull/7/head"],
    ["acme/api", "https://git.example/acme/api.git", "HEAD"],
    ["../acme/api", "https://git.example/../acme/api.git"],
  ] as const) {
    await assert.rejects(asks(repository, address, ref), { code: "TOR_SECRET_REFUSED" }, `${address} ${ref ?? ""}`);
  }
});

test("the address that counts is the one that is fetched from", async () => {
  await using dir = await dirWith({ "acme/api/KEY": "of the api" });
  const made = work({ secrets: ["KEY"] });
  const remote = { https: "https://git.example/acme/api.git", ssh: "git@evil.example:acme/api.git" };
  const bySsh = new Secrets({ dir: dir.path, from: FROM }, { remote: "ssh", allowLocal: false });
  assert.equal((await secretsIn(dir.path).grant("acme/api", { ...made, remote }, false)).stage["KEY"], "of the api");
  await assert.rejects(bySsh.grant("acme/api", { ...made, remote }, false), { code: "TOR_SECRET_REFUSED" });
  const good = { https: "https://evil.example/acme/api.git", ssh: "git@git.example:acme/api.git" };
  assert.equal((await bySsh.grant("acme/api", { ...made, remote: good }, false)).stage["KEY"], "of the api");
});

for (const [what, prepare, says] of [
  ["there is none", async () => undefined, /there is no .*\/acme\/api\/KEY on this executor/],
  [
    "everybody may read it",
    (path: string) => writeFile(path, "a value", { mode: 0o604 }),
    /every user of the host can get at .*: chmod o= /,
  ],
  [
    "it is too short to be left out of a log",
    (path: string) => writeFile(path, "abc\n", { mode: 0o600 }),
    /less than 4 characters/,
  ],
  ["it has a NUL in it", (path: string) => writeFile(path, "abc\0def", { mode: 0o600 }), /a NUL in it/],
  ["it is large", (path: string) => writeFile(path, "x".repeat(65_537), { mode: 0o600 }), /more than 65536 bytes/],
  ["it is a directory", (path: string) => mkdir(path, { mode: 0o700 }), /is not a file/],
  ["it is a link to itself", (path: string) => symlink(path, path), /cannot be read: ELOOP/],
] as const) {
  test(`a secret that cannot be given is told by its name and never by its value: ${what}`, async () => {
    await using dir = await dirWith({ "acme/api/OTHER": "x" });
    const path = join(dir.path, "acme", "api", "KEY");
    await prepare(path);
    await assert.rejects(secretsIn(dir.path).grant("acme/api", work({ secrets: ["KEY"] }), false), (error: Error) => {
      assert.match(error.message, /^the stage asks for the secret KEY: /);
      assert.match(error.message, says);
      assert.doesNotMatch(error.message, /a value|def/);
      return "code" in error && error.code === "TOR_SECRET_MISSING";
    });
    if (what === "everybody may read it") {
      await chmod(path, 0o640);
      await secretsIn(dir.path).grant("acme/api", work({ secrets: ["KEY"] }), false);
    }
  });
}

test("an executor without secrets says so", async () => {
  await assert.rejects(secretsIn(null).grant("acme/api", work({ secrets: ["KEY"] }), false), {
    code: "TOR_SECRET_MISSING",
    message: "the stage asks for the secret KEY: this executor has no secrets: TOROID_SECRETS is not set",
  });
});

test("what would be shown to everybody may have no secret in it", () => {
  const secrets = [{ KEY: "hunter2" }, { TOKEN: "abcdef" }];
  const request = { kind: "environment", environment: "prod", params: { P: "xabcdefx" } } as const;
  assert.equal(whatLeaks(secrets, { url: "https://x" }, []), null);
  assert.match(whatLeaks(secrets, { url: "https://hunter2@x" }, []) ?? "", /^TOROID_OUTPUT: url has the secret KEY/);
  assert.match(whatLeaks(secrets, {}, [request]) ?? "", /^TOROID_QUEUE: P has the secret TOKEN/);
  assert.equal(whatLeaks([], { url: "hunter2" }, [request]), null);
});
