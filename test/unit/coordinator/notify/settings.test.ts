import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { loadNotifySettings } from "../../../../coordinator/notify/load.ts";
import { notifySettings, secretsIn, whereOf } from "../../../../coordinator/notify/settings.ts";
import { tempDir } from "../../../support/temp.ts";

const SECRET = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
const read = (path: string): string => `${SECRET}${path === "" ? "" : "\n"}`;
const settings = (of: object) => notifySettings("n.json", JSON.stringify(of), read);

test("a file of targets is read, with secrets from files of their own, and shown without them", () => {
  const of = settings({
    targets: {
      team: { slack: "https://hooks.slack.com/services/T1/B2/zzz", for: ["acme/*"] },
      audit: { webhook: "https://hooks.example/toroid", secret: { file: "/key" }, on: "always" },
      mail: { email: "ops@example.com", authors: ["example.com"] },
    },
    github: { token: "ghp_0123" },
    smtp: { url: "smtps://mail.example", from: "Toroid <ci@example.com>", user: "ci", password: "hunter2" },
  });
  assert.deepEqual(of.targets.map(whereOf), [
    "hooks.slack.com",
    "hooks.example",
    "ops@example.com, authors at example.com",
  ]);
  assert.equal(of.github?.api, "https://api.github.com");
  const enterprise = settings({ github: { url: "https://ghe.example/", token: "t123" } });
  assert.equal(enterprise.github?.api, "https://ghe.example/api/v3");
  assert.deepEqual([of.smtp?.port, of.smtp?.tls], [465, true]);
  const secrets = secretsIn(of);
  for (const one of [SECRET, "ghp_0123", "hunter2", "/services/T1/B2/zzz"]) assert.ok(secrets.includes(one), one);
});

const WRONG: readonly (readonly [of: object, sentence: RegExp])[] = [
  [{ target: {} }, /^n\.json: Unrecognized key: "target"$/],
  [{ targets: { "a b": { email: "a@b.example" } } }, /^n\.json: targets\.a b: .*expected the name of a target/],
  [{ targets: { github: { slack: "https://x.example" } } }, /targets\.github: .*this name is taken/],
  [{ targets: { a: {} } }, /^n\.json: targets\.a: expected one of `slack`, `webhook` and `email`$/],
  [
    { targets: { a: { webhook: "ftp://x", secret: SECRET } } },
    /^n\.json: targets\.a\.webhook: expected an http or https URL$/,
  ],
  [{ targets: { a: { webhook: "https://x.example" } } }, /^n\.json: targets\.a\.secret: expected the secret itself/],
  [{ targets: { a: { webhook: "https://x.example", secret: "short" } } }, /targets\.a\.secret: expected `whsec_`/],
  [{ targets: { a: { webhook: "https://u:p@x.example", secret: SECRET } } }, /may not have a name and password/],
  [
    { targets: { a: { email: "nobody" } } },
    /^n\.json: targets\.a\.email: expected the address of a mailbox or a list of them$/,
  ],
  [{ targets: { a: { email: "a@b.example" } } }, /targets\.a: e-mail needs `smtp`, which is not there$/],
  [
    { targets: { a: { slack: "https://x.example", on: "sometimes" } } },
    /targets\.a\.on: expected change, always or never$/,
  ],
  [{ github: { token: "t123", app: { id: 1, key: "k" } } }, /^n\.json: github: expected either a `token` or an `app`$/],
  [{ github: { app: { id: 1, key: "k" } } }, /^n\.json: github\.app\.key: expected the app's private key, as PEM$/],
  [{ github: {} }, /^n\.json: github: expected either a `token` or an `app`$/],
  [{ smtp: { url: "https://x", from: "a@b" } }, /^n\.json: smtp\.url: expected smtp:\/\/host:587/],
  [{ smtp: { url: "smtp://x", from: "a@b\r\nbcc: c@d" } }, /^n\.json: smtp\.from: expected an address/],
];
for (const [of, sentence] of WRONG) {
  test(`${JSON.stringify(of).slice(0, 70)} is refused with a sentence`, () => {
    assert.throws(() => settings(of), { code: "TOR_CONFIG_INVALID", message: sentence });
  });
}

test("what cannot be read is named, and what is in it is not said", async () => {
  assert.throws(
    () => notifySettings("n.json", '{"password": hunter2}', read),
    (error: Error) => {
      assert.doesNotMatch(error.message, /hunter2/);
      return /^n\.json \(TOROID_NOTIFY\) is no JSON$/.test(error.message);
    },
  );
  await using dir = await tempDir();
  const path = join(dir.path, "n.json");
  assert.throws(() => loadNotifySettings(path), { message: /n\.json cannot be read \(TOROID_NOTIFY\): ENOENT/ });
  await writeFile(path, "{}");
  await chmod(path, 0o644);
  assert.throws(() => loadNotifySettings(path), { message: /can be read by everybody on this host: chmod o-r/ });
  await chmod(path, 0o640);
  assert.deepEqual(loadNotifySettings(path).targets, []);
  assert.deepEqual(loadNotifySettings(null).targets, []);
});
