/**
 * The pages beside builds, and people who sign in, in a real browser on the real system. GitHub is
 * `test/support/github-oauth.ts`: the real one is out of reach of tests.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { Browser, type Tab } from "../support/browser.ts";
import { GithubOauth, type Person } from "../support/github-oauth.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../support/leaks.ts";
import { natsSub } from "../support/nats-sub.ts";
import { openFor } from "../support/page-rig.ts";
import { assertGood, heard } from "../support/pages.ts";
import { Rig } from "../support/rig.ts";
import { missing, needs } from "../support/skips.ts";
import { TargetServer } from "../support/target.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 120_000 };
const NEEDED = { root: true, program: ["chromium", "bash", "nats"] } as const;
const TOROID = join(import.meta.dirname, "..", "..", "bin", "toroid.ts");

const ROOT: Person = { login: "root", organizations: [], teams: [] };
const ADA: Person = { login: "ada", organizations: ["acme"], teams: [] };
const GRACE: Person = { login: "grace", organizations: ["acme"], teams: ["acme/release"] };
const ROLES = "@root admin; @ada read acme/*; acme/release operate acme/*";

let leaks: Snapshot;
let rig: Rig;
let browser: Browser;
let github: GithubOauth;
let target: TargetServer;
/** Of the coordinator where people sign in; that of `rig` lets everybody do everything. */
let url: string;

before(async () => {
  leaks = await snapshot();
  if (missing(NEEDED) !== undefined) return;
  github = await GithubOauth.start();
  rig = await Rig.start();
  target = await TargetServer.start();
  const notify = join(rig.dir.path, "notify.json");
  const team = { webhook: `${target.url}/hook`, secret: `whsec_${Buffer.alloc(32, 7).toString("base64")}` };
  await writeFile(notify, JSON.stringify({ targets: { team } }), { mode: 0o600 });
  const variables = { TOROID_NOTIFY: notify };
  url = await (await rig.coordinator({ ...github.variables, ...variables, TOROID_ROLES: ROLES })).url;
  await rig.coordinator(variables);
  rig.executor({ TOROID_LABELS: "big" });
  browser = await Browser.start();
});

after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await rig?.[Symbol.asyncDispose]();
  await target?.[Symbol.asyncDispose]();
  await github?.[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

const APPLICATION = {
  ".toroid.yml": `kind: application
script: 'true'
environments:
  stage: { next: prod, run: 'echo stage' }
  prod: { run: 'echo prod', approval: { from: ['@acme/release', grace] } }
`,
};

test("people sign in, and go on to where they were going; who may only look is told so", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo(APPLICATION);
  await repo.commit({ message: "Refunds are booked once" });
  await rig.push(repo, { fullName: "acme/pay" });
  await using tab = await open(t, "/builds?repository=acme%2Fpay");
  const { page } = tab;
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await assertGood(page);
  assert.equal(await heard(page), SIGN_IN);
  github.person = null;
  await page.getByRole("link", { name: "Sign in with GitHub" }).click();
  await page.getByRole("alert").filter({ hasText: "GitHub did not say who you are. Begin once more." }).waitFor();
  await page.goto(new URL("/builds?repository=acme%2Fpay", url).href);
  github.person = ADA;
  await page.getByRole("link", { name: "Sign in with GitHub" }).click();
  await page.getByRole("link", { name: "acme/pay#1", exact: true }).waitFor();
  assert.equal(new URL(page.url()).pathname, "/builds");
  await page.getByRole("banner").getByText("as ada (read)").waitFor();

  await page.getByRole("link", { name: "Board" }).click();
  const approve = page.getByRole("button", { name: "Approve acme/pay#1 for prod" });
  await approve.waitFor();
  assert.deepEqual(
    [await approve.getAttribute("aria-disabled"), await approve.getAttribute("aria-description")],
    ["true", "ada has not the role “operate” for acme/pay"],
  );
  await approve.click({ force: true });
  assert.equal(await page.getByRole("dialog").count(), 0);
  await assertGood(page);

  await signInAs(page, GRACE);
  await page.getByRole("banner").getByText("as grace (operate)").waitFor();
  await approve.click();
  await page.getByRole("dialog").getByRole("button", { name: "Approve", exact: true }).click();
  const prod = page.getByRole("listitem").filter({ has: page.getByRole("heading", { name: "acme/pay prod" }) });
  await prod
    .last()
    .getByText(/ago by grace$/)
    .waitFor();
  assert.deepEqual(ours(tab), []);
});

test("a pause until a time, asked for at the page, is seen in the CLI and by nats sub", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo({ ".toroid.yml": APPLICATION[".toroid.yml"].replace(/, approval.*}/, " }") });
  await rig.push(repo, { fullName: "acme/shop" });
  await rig.ended(1, "acme/shop");
  await using printed = await natsSub(rig.nats.url, "toroid.events.*.*.*.environment.paused");
  await using tab = await open(t, "/");
  const { page } = tab;
  await signInAs(page, GRACE);
  await page.getByRole("button", { name: "Pause acme/shop prod" }).click();
  const dialog = page.getByRole("dialog", { name: "Pause acme/shop prod?" });
  await dialog.getByRole("combobox", { name: "Pause it" }).selectOption("for 4 hours");
  await dialog.getByRole("textbox", { name: "Reason" }).fill("black friday");
  await dialog.getByRole("button", { name: "Pause", exact: true }).click();
  await dialog.waitFor({ state: "detached" });
  const event = await until("nats sub to print it", () => printed.lines().find((line) => line.includes("acme/shop")));
  assert.match(event, /"type":"dev.toroid.environment.paused"/);
  assert.match(event, /"by":"grace","why":"black friday"/);
  const { out } = await toroid("status", "acme/shop");
  assert.match(out, /prod +paused[^\n]*grace/);
  assert.match(out, /black friday/);
  const hours = ((await rig.environment("prod", "acme/shop"))?.paused?.untilMs ?? 0) - Date.now();
  assert.ok(hours > 3 * 3_600_000 && hours <= 4 * 3_600_000, `${hours}`);
  assert.deepEqual(ours(tab), []);
});

test("a dead letter is read as text, replayed, and another discarded with a reason", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const attack = "<img/src=x/onerror=alert(1)>";
  await rig.queue.send(`${attack} is no push`, {});
  await using tab = await open(t, "/dead-letters");
  const { page } = tab;
  await signInAs(page, ROOT);
  await page.goto(new URL("/dead-letters", url).href);
  const letters = page.getByRole("main").getByRole("listitem");
  const broken = letters.filter({ hasText: "the body is not JSON" });
  await until("the letter to be in the list", async () => {
    await page.reload();
    await page.getByRole("heading", { name: "Dead letters" }).waitFor();
    await letters.or(page.getByText("There is none")).first().waitFor();
    return (await broken.count()) === 1;
  });
  await broken.getByText("What it says").click();
  await broken.getByText(`${attack} is no push`).waitFor();
  assert.equal(await page.locator("img, [onerror]").count(), 0);
  await assertGood(page);
  assert.equal((await heard(page)).replaceAll(/dead letter [0-9a-f]{16}/g, "dead letter ID"), LETTERS);
  await rig.queue.send(JSON.stringify({ toroid: 1, repository: "acme/late", ref: "refs/heads/main" }), {});
  const late = letters.filter({ hasText: "nothing was ever pushed from acme/late" }).first();
  await late.waitFor();
  const repo = await rig.repo({ ".toroid.yml": "script: 'true'\n" });
  await rig.push(repo, { fullName: "acme/late" });
  await rig.ended(1, "acme/late");
  await late.getByRole("button", { name: /^Replay dead letter/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Replay" }).click();
  await late.waitFor({ state: "detached" });
  assert.equal((await rig.ended(2, "acme/late")).outcome, "passed");

  await broken.getByRole("button", { name: /^Replay dead letter/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Replay" }).click();
  await broken.getByText(/replay by root/).waitFor();
  await broken.getByRole("button", { name: /^Discard dead letter/ }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: "Reason" }).fill("not ours");
  await page.getByRole("dialog").getByRole("button", { name: "Discard" }).click();
  await broken.first().waitFor({ state: "detached" }); // it waits for nobody any more
  await page.getByRole("button", { name: "Discarded" }).click();
  await letters.getByText(/discarded by root: not ours/).waitFor();
  assert.equal(await page.locator("dialog").count(), 0);
  assert.deepEqual(ours(tab), []);
});

test("an executor is drained with a reason and taken back, and the record of changes has both", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await open(t, "/executors");
  const { page } = tab;
  await signInAs(page, ROOT);
  await page.goto(new URL("/executors", url).href);
  const row = page.getByRole("main").getByRole("listitem");
  await row.getByText("big", { exact: true }).waitFor();
  await row.getByText("open", { exact: true }).waitFor();
  await assertGood(page);
  const { executors } = await rig.get<{ executors: { id: string; host: string; version: string }[] }>(
    "/api/v1/executors",
  );
  const [{ id, host, version } = assert.fail("no executor is there")] = executors;
  const known = (await heard(page)).replaceAll(id, "ID").replaceAll(`On ${host}, Toroid ${version}`, "ON");
  assert.equal(known, EXECUTORS);
  await row.getByRole("button", { name: /^Drain / }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: "Reason" }).fill("new kernel");
  await page.getByRole("dialog").getByRole("button", { name: "Drain" }).click();
  await row.getByText("drained by root: new kernel").waitFor();
  await row.getByRole("button", { name: /^Take back / }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Take back" }).click();
  await row.getByText("open", { exact: true }).waitFor();

  await page.goto(new URL("/audit?who=root", url).href);
  const entries = page.getByRole("main").getByRole("listitem");
  await entries
    .filter({ hasText: /root drain / })
    .getByText("new kernel")
    .waitFor();
  await entries.filter({ hasText: /root undrain / }).waitFor();
  await assertGood(page);
  await page.getByRole("searchbox", { name: "Who" }).fill("nobody-of-that-name");
  await page.keyboard.press("Enter");
  await page.getByText("Nothing was changed yet, or nothing that is like that.").waitFor();
  assert.equal(new URL(page.url()).search, "?who=nobody-of-that-name");
  assert.equal(await heard(page), AUDIT);
  assert.deepEqual(ours(tab), []);
});

test("a notification that was given up is sent again", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await open(t, "/settings");
  const { page } = tab;
  await signInAs(page, ROOT);
  await page.goto(new URL("/settings", url).href);
  target.reply = () => ({ status: 410 });
  await page.getByRole("button", { name: "Test team" }).click();
  await page.getByRole("dialog", { name: "Send a test to team?" }).getByRole("button", { name: "Send" }).click();
  const row = page.getByRole("region", { name: "Deliveries" }).getByRole("listitem");
  await row.getByText("given up", { exact: true }).waitFor();
  await row.getByText(/answered 410/).waitFor();
  await assertGood(page);
  target.reply = () => ({ status: 200 });
  await row.getByRole("button", { name: /^Retry delivery to team/ }).click();
  await page.getByRole("dialog", { name: "Send it to team now?" }).getByRole("button", { name: "Send" }).click();
  await row.getByText("delivered", { exact: true }).waitFor();
  assert.equal(target.received.length, 2);
  assert.deepEqual(ours(tab), []);
});

test("a token is made, shown once, signs its bearer in, and is revoked", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await open(t, "/settings");
  const { page } = tab;
  await signInAs(page, ROOT);
  await page.goto(new URL("/settings", url).href);
  await page.getByRole("heading", { name: "Coordinator" }).waitFor();
  await page.getByRole("button", { name: "New token" }).click();
  const dialog = page.getByRole("dialog", { name: "New token" });
  await dialog.getByRole("textbox", { name: "Name" }).fill("deploy-bot");
  await dialog.getByRole("combobox", { name: "It may" }).selectOption("operate");
  await dialog.getByRole("textbox", { name: "Repositories" }).fill("acme/pay, acme/shop");
  await dialog.getByRole("combobox", { name: "For" }).selectOption("it never expires");
  await dialog.getByRole("button", { name: "Make it" }).click();
  const shown = page.getByRole("dialog", { name: "The token deploy-bot" });
  const secret = await shown.getByRole("textbox", { name: "Token" }).inputValue();
  assert.match(secret, /^trd_/);
  await shown.getByRole("button", { name: "Done" }).click();
  await shown.waitFor({ state: "detached" });
  const row = page.getByRole("listitem").filter({ hasText: "deploy-bot" });
  await row.getByText("operate for acme/pay, acme/shop").waitFor();
  assert.equal((await page.content()).includes(secret), false, "it is nowhere any more");
  await assertGood(page);
  assert.equal(await heard(page, '[aria-labelledby="tokens"]'), TOKENS);

  const asBot = (): Promise<Response> =>
    fetch(new URL("/api/v1/builds", url), { headers: { authorization: `Bearer ${secret}` } });
  assert.equal((await asBot()).status, 200);
  await row.getByRole("button", { name: "Revoke token deploy-bot" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await row.waitFor({ state: "detached" });
  await until("the token to be refused", async () => (await asBot()).status === 401);
  assert.deepEqual(ours(tab), []);

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByPlaceholder("trd_…").fill(secret);
  await page.getByRole("button", { name: "Sign in with a token" }).click();
  await page.getByRole("alert").waitFor();
});

const SIGN_IN = `
- main:
  - heading "Sign in" [level=1]
  - link "Sign in with GitHub":
    - /url: /auth/github?to=%2Fbuilds%3Frepository%3Dacme%252Fpay
  - text: Token
  - textbox "Token":
    - /placeholder: trd_…
  - paragraph:
    - code: toroid token create
    - text: makes one, and so does whoever is signed in, under Settings.
  - button "Sign in with a token"`.trim();
const EXECUTORS = `
- main:
  - heading "Executors" [level=1]
  - paragraph: "default: 1 there, 0 of 2 slots busy"
  - list:
    - listitem:
      - text: open
      - heading "ID" [level=2]
      - paragraph:
        - text: 0 of 2 slots busy, pool default, labels
        - code: big
      - paragraph:
        - text: ON (protocol 4), up since
        - time: AGO
      - button "Drain ID": Drain…`.trim();
const LETTERS = `
- main:
  - heading "Dead letters" [level=1]
  - button "Wait for somebody" [pressed]
  - button "Replayed"
  - button "Discarded"
  - button "All"
  - list:
    - listitem:
      - text: waiting
      - paragraph: A message
      - paragraph: the body is not JSON
      - group: What it says (39 bytes) <img/src=x/onerror=alert(1)> is no push
      - paragraph:
        - time: AGO
      - button "Replay dead letter ID": Replay…
      - button "Discard dead letter ID": Discard…`.trim();
const AUDIT = `
- main:
  - heading "Audit" [level=1]
  - search "Changes":
    - searchbox "Who": nobody-of-that-name
    - searchbox "What it is about"
  - paragraph: Nothing was changed yet, or nothing that is like that.`.trim();
const TOKENS = `
- region "Tokens":
  - heading "Tokens" [level=2]
  - button "New token": New token…
  - list:
    - listitem:
      - paragraph: deploy-bot
      - paragraph: operate for acme/pay, acme/shop, as root
      - paragraph:
        - text: made by root
        - time: AGO
        - text: ", expires never, never used"
      - button "Revoke token deploy-bot": Revoke…`.trim();

function open(t: TestContext, path: string): Promise<Tab> {
  return openFor(t, browser, new URL(path, url));
}

/** Leaves whoever is there, and comes back to the board as somebody else. */
async function signInAs(page: Page, person: Person): Promise<void> {
  github.person = person;
  const out = page.getByRole("button", { name: "Sign out" });
  const enter = page.getByRole("link", { name: "Sign in with GitHub" });
  await out.or(enter).waitFor();
  if (await out.isVisible()) await out.click();
  await enter.waitFor();
  await page.goto(new URL("/", url).href);
  await enter.click();
  await page.getByRole("heading", { name: "Board" }).waitFor();
}

/** Complaints, but for the ways to GitHub, where people are sent, and for what streams to them being cut when they leave. */
function ours(tab: Tab): readonly string[] {
  return tab.complaints.filter(
    (one) => !one.startsWith(`request: ${github.url}`) && !one.includes("ERR_INCOMPLETE_CHUNKED_ENCODING"),
  );
}

async function toroid(...args: readonly string[]): Promise<{ readonly code: number | null; readonly out: string }> {
  const child = spawn(process.execPath, [TOROID, ...args, "--server", rig.url], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<number | null>((resolve) => void child.once("exit", resolve));
  return { out: await text(child.stdout), code: await ended };
}
