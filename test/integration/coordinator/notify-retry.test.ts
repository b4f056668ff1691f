/** Targets that are slow, full, gone or away. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readSubject } from "../../../kit/jetstream.ts";
import { deliverySummary } from "../../../protocol/delivery.ts";
import { NOTIFY } from "../../../protocol/streams.ts";
import { until } from "../../support/until.ts";
import { REPOSITORY } from "../../unit/coordinator/samples.ts";
import { refusal } from "./api-rig.ts";
import { build, deliveriesAt, FAILED, startNotifying, WEBHOOK_SECRET } from "./notify-rig.ts";

const LIMIT = { timeout: 60_000 };
const everything = { for: ["acme/*"], on: "always" } as const;
/** A target that holds its tongue is given ten seconds, and looked at again some time later. */
const PATIENCE = { withinMs: 45_000 };
const SLACK_KEY = "T0001-verysecret";

test("a target that is away has everything in order when it is back, and delays nobody else", LIMIT, async () => {
  await using rig = await startNotifying((url) => ({
    targets: {
      down: { webhook: `${url}/down`, secret: WEBHOOK_SECRET, ...everything },
      up: { webhook: `${url}/up`, secret: WEBHOOK_SECRET, ...everything },
    },
  }));
  const { target } = rig;
  let isDown = true;
  target.reply = ({ path }) => (path === "/down" && isDown ? null : { status: 204 });
  await build(rig, 1);
  await build(rig, 2, FAILED);
  await build(rig, 3);
  // While the first one holds its tongue.
  await until("the other target to have all", () => target.bodies("/up").length === 3, PATIENCE);
  const buildsAt = (path: string) =>
    target.bodies(path).map((body) => (body as { data: { build: number } }).data.build);
  assert.deepEqual(new Set(buildsAt("/down")), new Set([1]));
  isDown = false;
  await until("the slow one to have all", () => new Set(buildsAt("/down")).size === 3, PATIENCE);
  const list = await until(
    "all to be over",
    async () => {
      const all = await deliveriesAt(rig.url);
      return all.every(({ status }) => status === "delivered") ? all : null;
    },
    PATIENCE,
  );
  const ids = target.received.filter(({ path }) => path === "/down").map(({ headers }) => headers["webhook-id"]);
  // The first was repeated under the same id, for nobody knows whether it arrived.
  assert.deepEqual([ids[0] === ids[1], new Set(ids).size], [true, 3]);
  assert.deepEqual([...new Set(buildsAt("/down"))], [1, 2, 3]);
  const messages = list.find(({ id }) => id === ids[0])?.attempts.map(({ message }) => message) ?? [];
  assert.deepEqual([messages[0], messages.at(-1)], ["no answer (it took too long)", "answered 204"]);
});

test(
  "who asks for patience gets it, who is gone is given up with words, and a person may have it tried again",
  LIMIT,
  async () => {
    await using rig = await startNotifying((url) => ({
      targets: {
        full: { webhook: `${url}/full`, secret: WEBHOOK_SECRET, ...everything },
        gone: { slack: `${url}/${SLACK_KEY}`, ...everything },
        moved: { webhook: `${url}/moved`, secret: WEBHOOK_SECRET, ...everything },
      },
    }));
    const { target } = rig;
    const at: number[] = [];
    let isGone = true;
    target.reply = ({ path }) => {
      if (path === "/moved") return { status: 302, headers: { location: `${target.url}/inside` } };
      if (path !== "/full") return isGone ? { status: 410, body: { error: `no ${SLACK_KEY}` } } : { status: 200 };
      at.push(performance.now());
      return at.length === 1 ? { status: 429, headers: { "retry-after": "2" } } : { status: 200 };
    };
    await build(rig, 1);
    const list = await rig.settled(3);
    const of = (name: string) => list.find((one) => one.target === name);
    assert.equal(of("full")?.status, "delivered");
    assert.ok((at[1] ?? 0) - (at[0] ?? 0) >= 1_990, `asked again after ${(at[1] ?? 0) - (at[0] ?? 0)} ms`);
    assert.deepEqual([of("gone")?.status, of("gone")?.attempts.length], ["gaveUp", 1]);
    assert.equal(
      of("gone")?.attempts[0]?.message,
      "answered 410: it is gone for good; take it out of the configuration",
    );
    assert.equal(of("moved")?.status, "gaveUp");
    assert.ok(
      target.received.every(({ path }) => path !== "/inside"),
      "redirects are not followed",
    );
    assert.ok(!JSON.stringify(list).includes(SLACK_KEY), "no secret is shown");
    const stored = (await readSubject(rig.jet, NOTIFY.name, ">", 0)).map(({ data }) =>
      Buffer.from(data).toString("latin1"),
    );
    assert.ok(stored.length >= 4);
    for (const secret of [SLACK_KEY, WEBHOOK_SECRET])
      assert.ok(!stored.some((text) => text.includes(secret)), "no secret is stored");

    const again = (id: string) =>
      fetch(`${rig.url}/api/v1/deliveries/${id}/retry`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"reason":"it is back"}',
      });
    isGone = false;
    const asked = await again(of("gone")?.id ?? "");
    assert.deepEqual([asked.status, deliverySummary.parse(await asked.json()).status], [202, "waiting"]);
    await until("it to be delivered", async () =>
      (await rig.deliveries()).some((one) => one.target === "gone" && one.status === "delivered"),
    );
    assert.match(await refusal(await again(of("full")?.id ?? "")), /^409 TOR_CONFLICT: .* was delivered/);
    for (const id of ["nothing", "*.*.*", "full.>"])
      assert.match(await refusal(await again(encodeURIComponent(id))), /^404 TOR_NOT_FOUND/);
  },
);

test("the list has pages, the newest change first, to its end", LIMIT, async () => {
  await using rig = await startNotifying((url) => ({
    targets: { one: { webhook: url, secret: WEBHOOK_SECRET, ...everything } },
  }));
  for (let number = 1; number <= 5; number += 1) await build(rig, number);
  await until("all to be delivered", async () => {
    const all = await rig.deliveries();
    return all.length === 5 && all.every(({ status }) => status === "delivered");
  });
  const seen: string[] = [];
  for (let before = ""; ; ) {
    const answer = await fetch(`${rig.url}/api/v1/deliveries?limit=2${before}`);
    const page = (await answer.json()) as { deliveries: readonly { about: string }[]; next: string | null };
    assert.ok(page.deliveries.length <= 2);
    seen.push(...page.deliveries.map(({ about }) => about));
    if (page.next === null) break;
    before = `&before=${page.next}`;
  }
  assert.deepEqual(
    seen,
    [5, 4, 3, 2, 1].map((number) => `${REPOSITORY}#${number} passed on main`),
  );
});
