/** `toroid deliveries` and what `toroid doctor` says of targets, at a coordinator that notifies. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { execa } from "execa";
import { build, FAILED, startNotifying, WEBHOOK_SECRET } from "./notify-rig.ts";

const TOROID = join(import.meta.dirname, "..", "..", "..", "bin", "toroid.ts");

test("people see what was delivered and what was not, try it again, and test a target", {
  timeout: 60_000,
}, async () => {
  await using rig = await startNotifying((url) => ({
    targets: {
      good: { webhook: `${url}/good`, secret: WEBHOOK_SECRET, for: ["acme/*"] },
      bad: { slack: `${url}/bad`, for: ["acme/*"] },
    },
  }));
  let isGone = true;
  rig.target.reply = ({ path }) => ({ status: path === "/bad" && isGone ? 410 : 200 });
  const toroid = async (...args: readonly string[]) => {
    const { stdout, stderr, exitCode } = await execa(process.execPath, [TOROID, "--server", rig.url, ...args], {
      reject: false,
    });
    return { stdout, stderr, exitCode };
  };
  assert.equal((await toroid("deliveries", "ls")).stderr, "nobody was notified of anything");
  await build(rig, 1, FAILED);
  await rig.settled(2);
  const all = (await toroid("deliveries", "ls")).stdout.split("\n");
  assert.match(all[0] ?? "", /^DELIVERY +TARGET +STATE +TRIES/);
  assert.match(all.join("\n"), /good +delivered +1 .* acme\/api#1 failed on main/);
  const { deliveries } = JSON.parse((await toroid("--json", "deliveries", "ls", "--open")).stdout) as {
    deliveries: readonly { id: string; status: string; target: string }[];
  };
  assert.deepEqual(
    deliveries.map(({ target, status }) => [target, status]),
    [["bad", "gaveUp"]],
  );
  const { id } = deliveries[0] ?? { id: "" };
  assert.equal((await toroid("deliveries", "retry", id)).exitCode, 1);
  isGone = false;
  const again = await toroid("deliveries", "retry", id, "--reason", "it is back");
  assert.deepEqual([again.exitCode, again.stdout.split("\n")[0]], [0, `${id} to bad (slack): delivered`]);
  assert.deepEqual(
    [(await toroid("deliveries", "retry", id)).exitCode, (await toroid("deliveries", "retry", "x.y.z")).exitCode],
    [5, 4],
  );
  const tested = await toroid("deliveries", "test", "good");
  assert.deepEqual([tested.exitCode, rig.target.received.at(-1)?.path], [0, "/good"]);
  assert.equal((await toroid("deliveries", "test", "nobody")).exitCode, 4);
  assert.match((await toroid("deliveries", "targets")).stdout, /good +webhook +127\.0\.0\.1:\d+ +change +acme\/\* +0/);
  const doctor = (await toroid("doctor")).stdout;
  assert.match(doctor, /target good +webhook, 127\.0\.0\.1:\d+/);
  assert.ok(!doctor.includes("/bad"), "the address of a Slack webhook is a secret");
});
