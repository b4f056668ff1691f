/** What pushers and scripts can write, shown in a real browser: as text, and as nothing else. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { openBucket } from "../../../kit/topology.ts";
import { encode } from "../../../protocol/codec.ts";
import type { Presence } from "../../../protocol/commands.ts";
import { PLAN_STAGE } from "../../../protocol/ids.ts";
import { EXECUTORS } from "../../../protocol/streams.ts";
import { logSubject } from "../../../protocol/subjects.ts";
import { type Api, startApi } from "../../integration/coordinator/api-rig.ts";
import { claimStage, finishStage, runStage } from "../../integration/coordinator/rig.ts";
import { Browser, type Tab } from "../../support/browser.ts";
import { missing, needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { planWith, push, REPOSITORY, source, stagePlan, target } from "../../unit/coordinator/samples.ts";

const LIMIT = { timeout: 90_000 };
const NEEDED = { program: "chromium" } as const;
const BUILD = { repository: REPOSITORY, number: 1 };
const STAGE = { ...BUILD, stage: "build", round: 1 };
/** Leaves a mark on the page if any of it is taken for more than text. */
const HOSTILE = `</script><img src=x onerror="window.marked=1" data-marked><script>window.marked=1</script>"'><b data-marked>`;
const LINE = `\u001b]8;;javascript:window.marked=1\u0007click\u001b]8;;\u0007 ${HOSTILE} \u001b[31m${HOSTILE}\u001b[0m`;
const REF = 'refs/heads/"><img/src=x/onerror=window.marked=1/data-marked>';

let api: Api;
let browser: Browser;

before(async () => {
  if (missing(NEEDED) !== undefined) return;
  api = await startApi();
  browser = await Browser.start();
  await writeHostile(api);
});

after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
});

async function writeHostile({ jet, actors, get, post }: Api): Promise<void> {
  const remote = { https: "javascript:window.marked=1//.git", ssh: null };
  const said = { ref: REF, message: `${HOSTILE}\n\n${HOSTILE}`, author: HOSTILE };
  await actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push({ ...said, remote }), by: "queue" });
  const plan = planWith(stagePlan("build"), target("prod", ["build"]));
  const planned = {
    kind: "plan",
    plan,
    source: { ...source(), ...said, branch: REF.slice("refs/heads/".length) },
  } as const;
  await runStage(jet, actors, { ...BUILD, stage: PLAN_STAGE, round: 1 }, { planned });
  const token = await claimStage(jet, actors, STAGE);
  const data = Uint8Array.from(Buffer.from(`${LINE}\n`.repeat(50)));
  const at = { offset: 0, atMs: 1 };
  await jet.js.publish(logSubject(STAGE, 1), encode({ kind: "phase", ...at, phase: HOSTILE }));
  await jet.js.publish(logSubject(STAGE, 1), encode({ kind: "bytes", ...at, data }));
  await jet.js.publish(logSubject(STAGE, 1), encode({ kind: "end", ...at, offset: data.byteLength, droppedBytes: 0 }));
  await finishStage(jet, STAGE, token, { message: HOSTILE, outputs: { OUT: HOSTILE }, logBytes: data.byteLength });
  const who = { "toroid-user": HOSTILE.slice(0, 90) };
  await until("the environment to be known", async () => {
    const path = `/api/v1/environments/${REPOSITORY}/prod/pause`;
    return (await post(path, { reason: HOSTILE }, who)).status === 200;
  });
  const presence: Presence = {
    id: "one",
    host: HOSTILE,
    version: HOSTILE,
    pool: HOSTILE,
    labels: [HOSTILE],
    why: HOSTILE,
    runs: [HOSTILE],
    slots: 1,
    busy: 1,
    planSlots: 4,
    draining: true,
    protocol: 1,
    sinceMs: Date.now(),
    tokens: [],
  };
  const executors = await openBucket(jet, EXECUTORS);
  await executors.put("one", encode(presence));
  await until("the build to be shown", async () =>
    (await (await get(`/api/v1/builds/${REPOSITORY}/1`)).text()).includes("OUT"),
  );
}

/** Everything is looked at for marks: elements, what ran, links that would run something. */
async function assertHarmless({ page, complaints }: Tab, where: string): Promise<void> {
  const found = await page.evaluate(() => ({
    ran: "marked" in globalThis,
    marked: document.querySelectorAll("[data-marked]").length,
    scripts: [...document.querySelectorAll("script")].filter((one) => !one.src.startsWith(location.origin)).length,
    handlers: [...document.querySelectorAll("*")].filter((one) =>
      [...one.attributes].some(({ name }) => name.startsWith("on")),
    ).length,
    links: [...document.querySelectorAll("a")].flatMap((one) => {
      const { protocol, href } = new URL(one.getAttribute("href") ?? "", location.href);
      return ["http:", "https:"].includes(protocol) ? [] : [href];
    }),
  }));
  assert.deepEqual(found, { ran: false, marked: 0, scripts: 0, handlers: 0, links: [] }, where);
  // A browser tells of what the API answered with an error; that is none of the page.
  const own = complaints.filter((complaint) => !complaint.includes("Failed to load resource"));
  assert.deepEqual(own, [], where);
}

function textOf(page: Page): Promise<string> {
  return page.evaluate(() => document.body.innerText);
}

for (const [path, shown] of [
  ["/", "data-marked"],
  ["/builds", "data-marked"],
  [`/builds/${REPOSITORY}/1`, "data-marked"],
  [`/builds/${REPOSITORY}/1?stage=build`, "click"],
  ["/executors", "data-marked"],
  ["/audit", ""],
  ["/settings", ""],
  ["/dead-letters", ""],
  [`/sign-in?problem=${encodeURIComponent(HOSTILE)}&to=javascript:window.marked=1`, ""],
  [`/builds/${encodeURIComponent(HOSTILE)}/x/1`, ""],
  [`/builds?branch=${encodeURIComponent(HOSTILE)}&repository=${encodeURIComponent(HOSTILE)}`, ""],
] as const) {
  test(`${path.slice(0, 30)} shows what others wrote as text, and runs none of it`, LIMIT, async (t) => {
    if (!needs(t, NEEDED)) return;
    await using tab = await browser.open(api.url + path);
    await tab.page.locator("main, [role=main]").first().waitFor();
    if (shown !== "") await until(`${shown} on ${path}`, async () => (await textOf(tab.page)).includes(shown));
    await assertHarmless(tab, path);
  });
}

test("logs, badges and errors are of a type that no browser runs, whatever is in them", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  for (const path of [
    `/api/v1/builds/${REPOSITORY}/1/stages/build/log`,
    `/api/v1/builds/${REPOSITORY}/1`,
    `/api/v1/${encodeURIComponent("<script>window.marked=1</script>")}`,
  ]) {
    const answer = await api.get(path, { accept: "text/html" });
    assert.match(answer.headers.get("content-type") ?? "", /^(text\/plain|application\/json)/, path);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff", path);
    await using tab = await browser.open(api.url + path);
    assert.equal(await tab.page.evaluate(() => "marked" in globalThis), false, path);
  }
});

test("even what is put on the page by force does not run", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await browser.open(`${api.url}/builds`);
  const { page } = tab;
  await page.locator("main").waitFor();
  await page.evaluate((html) => {
    document.body.insertAdjacentHTML("beforeend", html);
    const script = document.createElement("script");
    script.textContent = "window.marked = 1";
    document.body.append(script);
    const link = Object.assign(document.createElement("a"), { href: "javascript:window.marked=1", id: "by-force" });
    document.body.append(link);
  }, HOSTILE);
  await page.evaluate(() => document.getElementById("by-force")?.click());
  await until("the policy to be heard", () => Promise.resolve(tab.complaints.length > 2));
  assert.equal(await page.evaluate(() => "marked" in globalThis), false);
  assert.ok(tab.complaints.some((one) => one.includes("Content Security Policy")));
});
