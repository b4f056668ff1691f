/** A push whose file names a target, all the way to that target. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Webhook } from "standardwebhooks";
import { WEBHOOK_SECRET, writeSettings } from "../integration/coordinator/notify-rig.ts";
import { noLeaksAfterAll } from "../support/leaks.ts";
import { Rig } from "../support/rig.ts";
import { TargetServer } from "../support/target.ts";
import { until } from "../support/until.ts";

noLeaksAfterAll({ withinMs: 10_000 });

const FILE = `script: ./check
notify: { to: team, branches: main }
environments:
  prod: { run: "echo live", approval: {} }
`;

test("a team that the file names hears of a failure, of the pass after it, and of an approval", {
  timeout: 120_000,
}, async () => {
  await using hook = await TargetServer.start();
  await using rig = await Rig.start();
  const targets = { team: { webhook: hook.url, secret: WEBHOOK_SECRET } };
  const path = await writeSettings(rig.dir.path, { targets });
  const coordinator = await rig.coordinator({ TOROID_NOTIFY: path, TOROID_PUBLIC_URL: "https://ci.example" });
  rig.executor();
  const repo = await rig.repo({ ".toroid.yml": FILE, "check*": "#!/bin/sh\nexit 3\n" });
  await rig.push(repo);
  await rig.ended(1);
  await repo.commit({ files: { "check*": "#!/bin/sh\nexit 0\n" } });
  await rig.push(repo);
  const told = await until("all to be told", () => (hook.received.length >= 3 ? hook.received : null), {
    withinMs: 60_000,
  });
  const checked = told.map(({ headers, body }) => {
    const read = new Webhook(WEBHOOK_SECRET).verify(body, headers as Record<string, string>);
    const { type, data } = read as {
      type: string;
      data: { summary: string; message: string; url: string; author: string };
    };
    return { type, ...data };
  });
  const summaries = checked.map(({ summary }) => summary).toSorted((a, b) => (a < b ? -1 : 1));
  assert.deepEqual(summaries, [
    "acme/shop#1 failed on main",
    "acme/shop#2 passed again on main",
    "acme/shop#2 waits for approval in prod",
  ]);
  const [failed] = checked;
  assert.deepEqual([failed?.type, failed?.url], ["build.failed", "https://ci.example/builds/acme/shop/1"]);
  assert.match(failed?.message ?? "", /^build failed: /);
  assert.ok(!coordinator.log.includes(WEBHOOK_SECRET), "a secret is in the log");
});
