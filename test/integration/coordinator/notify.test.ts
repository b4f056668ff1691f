import assert from "node:assert/strict";
import { test } from "node:test";
import { Webhook } from "standardwebhooks";
import { until } from "../../support/until.ts";
import { REPOSITORY, stagePlan, target } from "../../unit/coordinator/samples.ts";
import { begin, build, end, FAILED, type NotifyRig, startNotifying, WEBHOOK_SECRET } from "./notify-rig.ts";

const LIMIT = { timeout: 60_000 };
const HOUR_MS = 3_600_000;

const hook = (url: string, more: object = {}): object => ({ webhook: `${url}/hook`, secret: WEBHOOK_SECRET, ...more });

interface Told {
  readonly type: string;
  readonly data: { readonly summary: string; readonly build: number | null; readonly url: string | null };
}

function told({ target: { received } }: NotifyRig, path = "/hook"): readonly string[] {
  return received.filter((one) => one.path === path).map(({ body }) => (JSON.parse(body) as Told).data.summary);
}

async function isTold(rig: NotifyRig, ...summaries: readonly string[]): Promise<void> {
  await until(`${summaries.length} notifications`, () => told(rig).length >= summaries.length);
  await rig.settled();
  assert.deepEqual(told(rig), summaries);
}

test(
  "the first failure of a branch and the first pass after it are told, and nothing between them",
  LIMIT,
  async () => {
    await using rig = await startNotifying((url) => ({ targets: { audit: hook(url, { for: ["acme/*"] }) } }));
    await build(rig, 1);
    await build(rig, 2, FAILED);
    await build(rig, 3, FAILED);
    await build(rig, 4);
    await build(rig, 5);
    await isTold(rig, `${REPOSITORY}#2 failed on main`, `${REPOSITORY}#4 passed again on main`);
    const [first] = rig.target.received;
    assert.ok(first !== undefined);
    const { headers, body } = first;
    const checked = new Webhook(WEBHOOK_SECRET).verify(body, headers as Record<string, string>) as Told;
    assert.equal(checked.type, "build.failed");
    assert.equal(checked.data.url, `https://ci.example/builds/${REPOSITORY}/2`);
    assert.throws(() =>
      new Webhook(WEBHOOK_SECRET).verify(body.replace("#2", "#3"), headers as Record<string, string>),
    );
  },
);

test("a deployment, a pause, its end and an approval that waits are told, each once", LIMIT, async () => {
  await using rig = await startNotifying((url) => ({ targets: { audit: hook(url, { for: ["acme/*"] }) } }));
  const approval = { from: ["ada", "@acme/release"], self: true, expiresMs: HOUR_MS };
  await begin(rig, 1, { stages: [stagePlan("build"), target("prod", ["build"], { approval })] });
  const prod = { repository: REPOSITORY, environment: "prod" };
  await end(rig, 1, "build");
  await isTold(rig, `${REPOSITORY}#1 waits for approval in prod`);
  await rig.actors.environment.tell(prod, { kind: "pause", by: "bob", why: "freeze", untilMs: null });
  await until("the pause to be told", () => told(rig).length === 2);
  await rig.actors.environment.tell(prod, { kind: "resume", by: "bob", why: "" });
  await until("its end to be told", () => told(rig).length === 3);
  await rig.actors.environment.tell(prod, { kind: "approve", number: 1, round: null, by: "ada", team: null, why: "" });
  await end(rig, 1, "prod", FAILED);
  await isTold(
    rig,
    `${REPOSITORY}#1 waits for approval in prod`,
    `prod of ${REPOSITORY} is paused by bob`,
    `prod of ${REPOSITORY} goes on, by bob`,
    `${REPOSITORY}#1 failed in prod`,
  );
  const last = JSON.parse(rig.target.received.at(-1)?.body ?? "") as { readonly data: { readonly message: string } };
  assert.equal(last.data.message, "exited with 1");
});

test(
  "a file names targets, says when and of which branches, and what it names in vain is in the list",
  LIMIT,
  async () => {
    await using rig = await startNotifying((url) => ({
      targets: { one: hook(url), two: { slack: `${url}/two` }, other: { slack: `${url}/other`, allow: ["beta/*"] } },
    }));
    const all = { on: null, branches: null } as const;
    await build(
      rig,
      1,
      {},
      {
        notify: [
          { to: "one", on: "always", branches: null },
          { to: "two", ...all },
        ],
      },
    );
    await isTold(rig, `${REPOSITORY}#1 passed on main`);
    await build(rig, 2, FAILED, {
      notify: [
        { to: "one", on: "never", branches: null },
        { to: "two", on: "always", branches: ["release/*"] },
        { to: "other", ...all },
        { to: "nowhere", ...all },
      ],
    });
    const refused = await until("what cannot be told to be listed", async () => {
      const list = (await rig.deliveries()).filter(({ status }) => status === "gaveUp");
      return list.length === 2 ? list : null;
    });
    assert.deepEqual(refused.map(({ target: to, attempts }) => `${to}: ${attempts[0]?.message}`).toSorted(), [
      "nowhere: no target named nowhere is configured (TOROID_NOTIFY)",
      `other: ${REPOSITORY} may not name other: its \`allow\` says so (TOROID_NOTIFY)`,
    ]);
    assert.equal(rig.target.received.length, 1);
  },
);
