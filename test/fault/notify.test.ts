/**
 * Coordinators die where it hurts notifications: everything is told all the same, under ids by which a repeat is known,
 * in order, and what a forge shows in the end is the end.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeMailboxes } from "../../coordinator/mailboxes.ts";
import { NOTIFY_CRASH_POINTS } from "../../kit/crash-points.ts";
import { connectJet } from "../../kit/jetstream.ts";
import {
  begin,
  build,
  deliveriesAt,
  end,
  FAILED,
  WEBHOOK_SECRET,
  writeSettings,
} from "../integration/coordinator/notify-rig.ts";
import { quiet } from "../integration/coordinator/rig.ts";
import { FakeGithub, TOKEN } from "../support/github.ts";
import { noLeaksAfterAll } from "../support/leaks.ts";
import { type Daemon, Rig } from "../support/rig.ts";
import { TargetServer } from "../support/target.ts";
import { until } from "../support/until.ts";
import { commitOf, REPOSITORY, stagePlan, target } from "../unit/coordinator/samples.ts";

const LIMIT = { timeout: 240_000 };
/** A message that a dead coordinator had in hand is delivered again after ten seconds, and what it sent taken up after twelve. */
const PATIENCE = { withinMs: 90_000 };
noLeaksAfterAll({ withinMs: 10_000 });

async function start(on: "change" | "always" = "change") {
  await using undo = new AsyncDisposableStack();
  const hook = undo.use(await TargetServer.start());
  const hub = undo.use(await FakeGithub.start());
  const rig = undo.use(await Rig.start());
  const settings = {
    targets: { audit: { webhook: hook.url, secret: WEBHOOK_SECRET, for: ["**"], on } },
    github: { url: "https://git.example", api: hub.server.url, token: TOKEN },
  };
  const path = await writeSettings(rig.dir.path, settings);
  const coordinator = (env: Record<string, string> = {}): Promise<Daemon> =>
    rig.coordinator({ TOROID_NOTIFY: path, ...env });
  const kept = undo.move();
  return { rig, hook, hub, coordinator, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

type Town = Awaited<ReturnType<typeof start>>;

/** However long it takes until a coordinator is there that reacts. */
async function patiently(what: string, act: () => Promise<void>): Promise<void> {
  await until(
    what,
    async () => {
      await act();
      return true;
    },
    PATIENCE,
  );
}

/** What was told, the first first, each once; and how often in all. */
function told({ hook }: Town): { readonly summaries: readonly string[]; readonly sent: number } {
  const byId = new Map<string, string>();
  for (const { headers, body } of hook.received) {
    const { data } = JSON.parse(body) as { data: { summary: string } };
    const id = String(headers["webhook-id"]);
    assert.equal(byId.get(id) ?? data.summary, data.summary, "one id says one thing");
    byId.set(id, data.summary);
  }
  return { summaries: [...byId.values()], sent: hook.received.length };
}

/** Of a commit's contexts, what was said last. */
function lastShown({ hub }: Town, number: number): Readonly<Record<string, string>> {
  const own = hub.statuses.filter(({ sha }) => sha === commitOf(number));
  return Object.fromEntries(own.map(({ context, state }) => [context, state]));
}

async function allOver(url: string): Promise<void> {
  await until(
    "all notifications to be over",
    async () => (await deliveriesAt(url)).every(({ nextAtMs }) => nextAtMs === null),
    PATIENCE,
  );
}

// Side by side, since most of their time is waiting for what the dead had in hand.
describe("all is told when the coordinator dies", { concurrency: NOTIFY_CRASH_POINTS.length }, () => {
  for (const point of NOTIFY_CRASH_POINTS) {
    test(`at ${point}`, LIMIT, async () => {
      await using town = await start();
      const { rig, hub } = town;
      // The second time, so that some of it has been told before.
      const doomed = await town.coordinator({ TOROID_CRASH_AT: `${point}:2` });
      await using jet = await connectJet({ url: rig.nats.url, name: "test" });
      const at = { jet, actors: makeMailboxes(jet, quiet) };
      const stages = [stagePlan("build"), target("prod", ["build"])];
      await doomed.url;
      const work = (async () => {
        await patiently("#1 to be planned", () => begin(at, 1, { stages }));
        await patiently("#1 to fail", () => end(at, 1, "build", FAILED));
        await patiently("#2 to be planned", () => begin(at, 2, { stages }));
        await patiently("#2 to pass", () => end(at, 2, "build"));
        await patiently("prod to fail", () => end(at, 2, "prod", FAILED));
      })();
      assert.equal((await doomed.exited).signal, "SIGKILL", "the crash point was never reached");
      const { url } = await town.coordinator().then(async (one) => ({ url: await one.url }));
      await work;
      const expected = [
        `${REPOSITORY}#1 failed on main`,
        `${REPOSITORY}#2 passed again on main`,
        `${REPOSITORY}#2 failed in prod`,
      ];
      await until("all to be told", () => told(town).summaries.length >= expected.length, PATIENCE);
      await until(
        "the ends to be shown",
        () => lastShown(town, 2)["toroid"] === "success" && hub.deployments[0]?.said.at(-1)?.state === "failure",
        PATIENCE,
      );
      await allOver(url);
      const { summaries, sent } = told(town);
      assert.deepEqual(
        summaries.toSorted((a, b) => (a < b ? -1 : 1)),
        expected.toSorted((a, b) => (a < b ? -1 : 1)),
      );
      // Of one branch in order.
      assert.ok(summaries.indexOf(expected[0] ?? "") < summaries.indexOf(expected[1] ?? ""));
      assert.ok(sent <= expected.length + 1, `${sent} messages: one may be repeated, and no other`);
      assert.deepEqual(lastShown(town, 1), { toroid: "failure", "toroid/build": "failure" });
      assert.deepEqual(lastShown(town, 2), { toroid: "success", "toroid/build": "success" });
      assert.equal(hub.deployments.length, 1, "no deployment is made twice");
      for (const secret of [TOKEN, WEBHOOK_SECRET]) assert.ok(!doomed.log.includes(secret), "a secret is in the log");
    });
  }
});

test("a coordinator that stands still while it sends changes nothing when it goes on", LIMIT, async () => {
  await using town = await start();
  const { rig, hook } = town;
  let isSilent = true;
  hook.reply = () => (isSilent ? null : { status: 204 });
  const still = await town.coordinator();
  await using jet = await connectJet({ url: rig.nats.url, name: "test" });
  const at = { jet, actors: makeMailboxes(jet, quiet) };
  await build(at, 1, FAILED);
  await until("it to be sent", () => hook.received.length === 1, PATIENCE);
  still.child.kill("SIGSTOP");
  isSilent = false;
  const { url } = await town.coordinator().then(async (one) => ({ url: await one.url }));
  await until("another to send it", () => hook.received.length === 2, PATIENCE);
  await allOver(url);
  await patiently("the next to pass", () => build(at, 2));
  await until("that to be told", () => hook.received.length === 3, PATIENCE);
  still.child.kill("SIGCONT");
  await patiently("one more to fail", () => build(at, 3, FAILED));
  await until("that to be told as well", () => hook.received.length >= 4, PATIENCE);
  await allOver(url);
  assert.deepEqual(
    told(town).summaries,
    [1, 2, 3].map((n) => `${REPOSITORY}#${n} ${n === 2 ? "passed again" : "failed"} on main`),
  );
  assert.equal(hook.received.length, 4);
  assert.ok((await deliveriesAt(url)).every(({ status }) => status === "delivered" || status === "overtaken"));
});

test("three coordinators that are killed in turn tell everything, and nothing under two ids", LIMIT, async () => {
  await using town = await start("always");
  const fleet = await Promise.all([town.coordinator(), town.coordinator(), town.coordinator()]);
  await using jet = await connectJet({ url: town.rig.nats.url, name: "test" });
  const at = { jet, actors: makeMailboxes(jet, quiet) };
  const BUILDS = 12;
  for (let number = 1; number <= BUILDS; number += 1) {
    await patiently(`#${number} to go through`, () => build(at, number, number % 2 === 0 ? {} : FAILED));
    if (number % 3 !== 0) continue;
    const victim = (number / 3) % fleet.length;
    await fleet[victim]?.kill("SIGKILL");
    fleet[victim] = await town.coordinator();
  }
  await until("all to be told", () => told(town).summaries.length >= BUILDS, PATIENCE);
  await allOver((await fleet[0]?.url) ?? "");
  // Whether an end is a change depends on which of two coordinators was the first to look; that it is told does not.
  const ends = told(town).summaries.map((summary) => summary.replace(/ again on main$| on main$/, ""));
  const expected = Array.from(
    { length: BUILDS },
    (_, n) => `${REPOSITORY}#${n + 1} ${n % 2 === 0 ? "failed" : "passed"}`,
  );
  assert.deepEqual(new Set(ends), new Set(expected));
  assert.equal(ends.length, BUILDS);
  for (let number = 1; number <= BUILDS; number += 1)
    assert.equal(lastShown(town, number)["toroid"], number % 2 === 0 ? "success" : "failure", `#${number}`);
});
