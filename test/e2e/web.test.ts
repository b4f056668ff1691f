/** The page, in a real browser, on the real system: what a person sees and does. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Locator, Page } from "playwright-core";
import { makeMailboxes } from "../../coordinator/mailboxes.ts";
import { connectJet } from "../../kit/jetstream.ts";
import { makeLogger } from "../../kit/log.ts";
import { LOG } from "../../protocol/streams.ts";
import { logSubject } from "../../protocol/subjects.ts";
import type { Browser, Tab } from "../support/browser.ts";
import { Gate } from "../support/gate.ts";
import { openFor, pageRigForAll } from "../support/page-rig.ts";
import type { Rig } from "../support/rig.ts";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 90_000 };
const NEEDED = { root: true, program: ["chromium", "bash"] } as const;

let rig: Rig;
let browser: Browser;
pageRigForAll(NEEDED, (made) => {
  ({ rig, browser } = made);
});

function application(...script: readonly string[]): Record<string, string> {
  return {
    ".toroid.yml": `kind: application
script:
${script.map((line) => `  - ${JSON.stringify(line)}\n`).join("")}
entrypoint: deploy
environments:
  stage: { next: prod }
  prod: {}
`,
    "deploy*": '#!/bin/sh\necho "to $1"\n',
  };
}

test("a push shows up by itself, its log grows while it runs, and a link to it keeps", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using gate = await Gate.start();
  const repo = await rig.repo(
    application("printf '\\033[31mred words\\033[0m plain words\\n'", gate.line, "echo the end"),
  );
  await using tab = await open(t, "/builds");
  const { page } = tab;
  await page.evaluate("window.notReloaded = true");
  await rig.push(repo, { fullName: "acme/live" });
  const link = page.getByRole("link", { name: "acme/live#1", exact: true });
  await link.waitFor();
  await gate.reached();
  await rowOf(page, "acme/live#1").getByText("running", { exact: true }).waitFor();

  await link.click();
  await page.getByRole("heading", { name: /^acme\/live#1 running$/ }).waitFor();
  assert.equal(new URL(page.url()).pathname, "/builds/acme/live/1");
  // Chosen, so that the page does not go on to the next stage by itself.
  await page.getByRole("link", { name: /^build running/ }).click();
  const log = page.getByRole("region", { name: "Output of build" });
  await log.getByText("red words").waitFor();
  const [red, plain] = [await colourOf(log.getByText("red words")), await colourOf(log.getByText("plain words"))];
  assert.notEqual(red, plain);
  assert.equal(await log.getByText("the end").count(), 0);
  await gate.pass();
  await log.getByText("the end").waitFor();
  await page.getByRole("heading", { name: /^acme\/live#1 passed$/ }).waitFor();
  assert.equal(await page.evaluate("window.notReloaded"), true);

  await page.reload();
  await page.getByRole("link", { name: /^prod passed/ }).click();
  await page.getByRole("region", { name: "Output of prod" }).getByText("to prod").waitFor();
  await page.goto(new URL("/builds/acme/live/1?stage=stage&round=1", rig.url).href);
  await page.getByRole("region", { name: "Output of stage" }).getByText("to stage").waitFor();
  const details = page.getByRole("region", { name: /^stage passed/ });
  await details.getByText("Weaker than it could be").click();
  await details.getByText("image-host").waitFor();
  assert.match((await details.textContent()) ?? "", /Weaker than it could be.*image-hostits root file system is the/);
  await page.goBack();
  await page.getByRole("region", { name: "Output of prod" }).waitFor();
  assert.deepEqual(tab.complaints, []);
});

test("by keyboard alone: an environment is paused with a reason, and all see it", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo(application("true"));
  await rig.push(repo, { fullName: "acme/lane" });
  await rig.ended(1, "acme/lane");
  await using tab = await open(t, "/");
  const { page } = tab;
  const prod = page
    .getByRole("listitem")
    .filter({ has: page.getByRole("heading", { name: "acme/lane prod" }) })
    .last();
  await prod.getByText(/Live:/).waitFor(); // nothing of it changes any more

  await tabTo(page, "Pause acme/lane prod");
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Pause acme/lane prod?" });
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" }); // by its role it is gone before the page knows
  assert.equal(await focused(page), "Pause acme/lane prod", "the focus goes back to where it was");
  await page.keyboard.press("Enter");
  await dialog.waitFor();
  await page.keyboard.type("a release is on");
  await page.keyboard.press("Enter");
  await dialog.waitFor({ state: "detached" });
  await prod.getByText("paused", { exact: true }).waitFor();
  assert.match((await prod.textContent()) ?? "", /Paused by local .*until somebody resumes it: a release is on/);

  await repo.commit({ files: { more: "1" } });
  await rig.push(repo, { fullName: "acme/lane" });
  await prod
    .getByText(/Waiting:/)
    .getByRole("link", { name: "acme/lane#2" })
    .waitFor();
  assert.match((await prod.textContent()) ?? "", /Live: #1/);
  await prod.getByRole("button", { name: "Resume acme/lane prod" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Resume", exact: true }).click();
  await prod.getByText(/Live: #2/).waitFor();
  assert.equal((await rig.ended(2, "acme/lane")).outcome, "passed");
  assert.deepEqual(tab.complaints, []);
});

test("a build is cancelled with a reason, from its page", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using gate = await Gate.start();
  const repo = await rig.repo(application(gate.line));
  await rig.push(repo, { fullName: "acme/cancel" });
  await gate.reached();
  await using tab = await open(t, "/builds/acme/cancel/1");
  const { page } = tab;
  await page.getByRole("button", { name: "Cancel acme/cancel#1" }).click();
  const dialog = page.getByRole("dialog", { name: "Cancel acme/cancel#1?" });
  await dialog.getByRole("textbox", { name: "Reason" }).fill("not today");
  await dialog.getByRole("button", { name: "Cancel the build" }).click();
  await page.getByRole("heading", { name: "acme/cancel#1 cancelled" }).waitFor();
  await page.getByText("not today").first().waitFor();
  assert.equal(await page.getByRole("button", { name: "Cancel acme/cancel#1" }).count(), 0);
  assert.deepEqual(tab.complaints, []);
});

test("a broken file shows what is wrong and where", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo({ ".toroid.yml": "scrpt: make\nlimits: { memory: lots }\n" });
  await rig.push(repo, { fullName: "acme/broken" });
  await rig.ended(1, "acme/broken");
  await using tab = await open(t, "/builds/acme/broken/1");
  await tab.page.getByRole("heading", { name: "acme/broken#1 failed" }).waitFor();
  const problems = await tab.page.getByRole("region", { name: "What is wrong with the file" }).ariaSnapshot();
  assert.match(problems, /\.toroid\.yml:1:1[^\n]*scrpt[^]*\.toroid\.yml:2:\d+/);
  assert.deepEqual(tab.complaints, []);
});

test("a template that was made for a build is on its page, and of the build alone in the API", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo({ ".toroid.yml": "image: { packer: true }\ninstall: 'false'\nscript: 'true'\n" });
  await rig.push(repo, { fullName: "acme/made" });
  await rig.ended(1, "acme/made");
  await using tab = await open(t, "/builds/acme/made/1");
  const { page } = tab;
  await page.getByText("The Packer template of its image").click();
  await page.getByText('sources = ["source.null.toroid"]').first().waitFor();
  assert.deepEqual(tab.complaints, []);
  const { template } = await rig.get<{ template: string }>("/api/v1/builds/acme/made/1");
  assert.match(template, /^# Made by Toroid of \.toroid\.yml[^]*"false",/);
  const { builds } = await rig.get<{ builds: { template: null }[] }>("/api/v1/builds?repository=acme/made");
  assert.deepEqual(
    builds.map((build) => build.template),
    [null],
  );
});

test("what strangers write stays text", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const attack = (n: number): string => `<img/src=x/onerror=alert(${n})>`;
  const repo = await rig.repo(application(`echo '${attack(1)}<script>alert(2)</script>'`));
  await repo.commit({ message: `${attack(3)}<script>alert(4)</script>`, branch: attack(5) });
  await rig.push(repo, { fullName: "acme/text", ref: `refs/heads/${attack(5)}` });
  await rig.ended(1, "acme/text");
  await rig.post("/api/v1/environments/acme/text/prod/pause", { reason: attack(6) });
  await using tab = await open(t, "/builds");
  const { page } = tab;
  const row = rowOf(page, "acme/text#1");
  await row.getByText(attack(3)).waitFor();
  await row.getByText(attack(5)).waitFor();
  await page.getByRole("link", { name: "Board" }).click();
  await page.getByText(attack(6)).waitFor();
  await page.goto(new URL("/builds/acme/text/1?stage=build&round=1", rig.url).href);
  await page.getByRole("region", { name: "Output of build" }).getByText(attack(1)).waitFor();
  assert.equal(await page.locator("img, body script, [onerror]").count(), 0);
  assert.deepEqual(tab.complaints, []);
});

test("an executor that takes nothing new is shown with the reason, until it is taken back", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const { executors } = await rig.get<{ readonly executors: readonly { readonly id: string }[] }>("/api/v1/executors");
  const id = executors[0]?.id ?? "";
  await using tab = await open(t, "/", { width: 360, height: 640 });
  const { page } = tab;
  await page.getByRole("link", { name: "Executors" }).click();
  const row = page.getByRole("listitem").filter({ hasText: id });
  await row.getByText("open", { exact: true }).waitFor();
  await rig.post(`/api/v1/executors/${id}/drain`, { reason: `new kernel ${"long ".repeat(30)}` });
  await row.getByText("drained by local: new kernel").waitFor();
  await row.getByText("drained", { exact: true }).waitFor();
  const [width, visible] = await page.evaluate<[number, number]>(
    "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
  );
  assert.ok(width <= visible, `${width} wide on ${visible}`);
  await rig.post(`/api/v1/executors/${id}/undrain`, {});
  await row.getByText("open", { exact: true }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: id }).waitFor();
  assert.deepEqual(tab.complaints, []);
});

test("on a phone nothing is wider than the screen", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo(application(`echo ${"wide ".repeat(100)}`));
  await repo.commit({ message: "w".repeat(200), branch: `feature/${"long-".repeat(20)}name` });
  await rig.push(repo, { fullName: "acme/phone", ref: `refs/heads/feature/${"long-".repeat(20)}name` });
  await rig.ended(1, "acme/phone");
  await using tab = await open(t, "/", { width: 360, height: 640 });
  const { page } = tab;
  await rowOf(page, "acme/phone#1").waitFor();
  for (const path of ["/", "/builds", "/builds?repository=acme%2Fphone", "/builds/acme/phone/1?stage=build&round=1"]) {
    await page.goto(new URL(path, rig.url).href);
    const last = path.startsWith("/builds/")
      ? page.getByRole("region", { name: "Output of build" }).getByText("wide")
      : rowOf(page, "acme/phone#1");
    await last.waitFor();
    const [width, visible] = await page.evaluate<[number, number]>(
      "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
    );
    assert.ok(width <= visible, `${path} is ${width} wide on ${visible}`);
  }
  assert.deepEqual(tab.complaints, []);
});

test("when the coordinator is away the page says so, and goes on by itself", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const away = await rig.coordinator();
  const { port } = new URL(rig.url);
  await using tab = await open(t, "/");
  const { page } = tab;
  await page.getByRole("status").getByText("live", { exact: true }).waitFor();
  await away.kill();
  await page.getByRole("status").getByText("connection lost, trying again").waitFor();
  await rig.coordinator({ TOROID_HTTP_PORT: port });
  await page.getByRole("status").getByText("live", { exact: true }).waitFor();
  const repo = await rig.repo({ ".toroid.yml": "script: echo back\n" });
  await rig.push(repo, { fullName: "acme/back" });
  await page.getByRole("link", { name: "acme/back#1", exact: true }).first().waitFor();
});

test("a build's page says that it is archived, and what of its log is kept no more", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo({ ".toroid.yml": "script: echo bygone\n" });
  const id = { repository: "acme/old", number: 1 };
  await rig.push(repo, { fullName: id.repository });
  const { stages } = await rig.ended(1, id.repository);
  const { logBytes, attempt } = stages.find(({ name }) => name === "build") ?? assert.fail("it has no stage build");
  await using jet = await connectJet({ url: rig.nats.url, name: "test" });
  await jet.jsm.streams.purge(LOG.name, { filter: logSubject({ ...id, stage: "build", round: 1 }, attempt) });
  const { changed } = await makeMailboxes(jet, makeLogger("test", "fatal")).build.tell(id, {
    kind: "archive",
    endedByMs: jet.clock.nowMs(),
  });
  assert.equal(changed, true);
  await using tab = await open(t, "/builds/acme/old/1?stage=build&round=1");
  const { page } = tab;
  await page.getByText(/^Archived .* ago: its plan and where its artifact is are known no more/).waitFor();
  const log = page.getByRole("region", { name: "Output of build" });
  await log.getByText(`${logBytes} bytes are not kept any more, to make room for newer ones`).waitFor();
  assert.deepEqual(tab.complaints, []);
});

/** A tab that is given up with the test. */
function open(t: TestContext, path: string, size?: { width: number; height: number }): Promise<Tab> {
  return openFor(t, browser, new URL(path, rig.url), size);
}

function rowOf(page: Page, build: string): Locator {
  return page
    .getByRole("listitem")
    .filter({ has: page.getByRole("link", { name: build, exact: true }) })
    .last();
}

async function colourOf(text: Locator): Promise<string> {
  return text.evaluate((element) => String(element.ownerDocument.defaultView?.getComputedStyle(element).color));
}

/** The accessible name of what has the focus, as we give it. */
async function focused(page: Page): Promise<string | null> {
  return page.evaluate("document.activeElement?.getAttribute('aria-label')");
}

async function tabTo(page: Page, label: string): Promise<void> {
  await until(`${label} to be reached by the Tab key`, async () => {
    await page.keyboard.press("Tab");
    return (await focused(page)) === label;
  });
}
