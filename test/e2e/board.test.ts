/** The board and the lists, in a real browser on the real system: what is live, what waits, and what people do there. */
import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import type { Locator, Page } from "playwright-core";
import type { Browser, Tab } from "../support/browser.ts";
import { Gate } from "../support/gate.ts";
import { openFor, pageRigForAll } from "../support/page-rig.ts";
import { assertGood, heard } from "../support/pages.ts";
import type { Rig } from "../support/rig.ts";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 120_000 };
const NEEDED = { root: true, program: ["chromium", "bash"] } as const;

let rig: Rig;
let browser: Browser;
pageRigForAll(NEEDED, (made) => {
  ({ rig, browser } = made);
});

/** What a deployment goes to, which is not ready at first. */
class Target implements AsyncDisposable {
  answer = "not yet";
  readonly #server = createServer((socket) => socket.on("error", () => undefined).end(this.answer));

  static async start(): Promise<Target> {
    const target = new Target();
    await new Promise<void>((resolve) => {
      target.#server.listen(0, "127.0.0.1", resolve);
    });
    return target;
  }

  /** Of a script that needs it to be ready. */
  get line(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `bash -c 'test "$(cat </dev/tcp/127.0.0.1/${port})" = ready'`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Two environments; `script` is the build's own, `deploy` that of each environment. */
function application({ script = "true", deploy = 'echo "to $1"', prod = "{}" } = {}): Record<string, string> {
  return {
    ".toroid.yml": `kind: application
script: ${JSON.stringify(script)}
entrypoint: deploy
environments:
  stage: { next: prod }
  prod: ${prod}
`,
    "deploy*": `#!/bin/sh\n${deploy}\n`,
  };
}

test("a build waits for approval; another person sees what would change and agrees", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo(application({ prod: "{ approval: {} }" }));
  await repo.commit({ message: "Refunds are booked once" });
  await using grace = await open(t, "/", as("grace"));
  await rig.push(repo, { fullName: "acme/pay" });
  const prod = card(grace.page, "acme/pay prod");
  await prod.getByText("waits for approval", { exact: true }).waitFor();
  await prod.getByText(/^it waits for approval by anybody but who caused it, until /).waitFor();
  assert.equal(await grace.page.locator("#icon").getAttribute("href"), "/icons/waiting.svg");

  await prod.getByRole("button", { name: "Approve acme/pay#1 for prod" }).click();
  const dialog = grace.page.getByRole("dialog", { name: "Approve acme/pay#1 for prod?" });
  await dialog.getByText("Nothing is live there yet. It would become").waitFor();
  await dialog.getByText("Refunds are booked once").waitFor();
  await dialog.getByRole("button", { name: "Approve", exact: true }).click();
  await dialog.waitFor({ state: "detached" });
  await prod.getByText(/ago by grace$/).waitFor();
  await prod.getByText("Refunds are booked once").waitFor();

  await repo.commit({ message: "Refunds are booked twice" });
  await rig.push(repo, { fullName: "acme/pay" });
  await prod.getByRole("button", { name: "Reject acme/pay#2 for prod" }).click();
  const reject = grace.page.getByRole("dialog", { name: "Reject acme/pay#2 for prod?" });
  await reject.getByText(/What is live would change from [0-9a-f]{7} to [0-9a-f]{7}, by these pushes:/).waitFor();
  assert.match((await reject.getByRole("listitem").allTextContents()).join(), /^#2 Refunds are booked twice Ada/);
  await reject.getByRole("textbox", { name: "Reason" }).fill("twice is once too often");
  await reject.getByRole("button", { name: "Reject", exact: true }).click();
  await prod.getByText("open", { exact: true }).waitFor();
  assert.match((await prod.textContent()) ?? "", /Live: #1/);
  const { stages } = await rig.ended(2, "acme/pay");
  assert.match(stages.find(({ name }) => name === "prod")?.message ?? "", /twice is once too often/);
  assert.deepEqual(grace.complaints, []);
});

test("who pushed cannot approve, and the dialog says why", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo(application({ prod: "{ approval: { from: [grace] } }" }));
  await using tab = await open(t, "/", as("mallory"));
  await rig.push(repo, { fullName: "acme/closed" });
  const { page } = tab;
  await page.getByRole("button", { name: "Approve acme/closed#1 for prod" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Approve", exact: true }).click();
  const alert = dialog.getByRole("alert");
  await alert.filter({ hasText: "mallory may not decide this: the file names grace" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Approve acme/closed#1 for prod" }).waitFor();
  await rig.post("/api/v1/builds/acme/closed/1/cancel", { reason: "seen" });
  // The refusal is in the console as an answer of 403, as any failed request.
  assert.deepEqual(
    tab.complaints.filter((one) => !one.includes("403")),
    [],
  );
});

test("an environment is rolled back to an earlier build, held, promoted to and released", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo(application());
  for (const [at, message] of ["Index titles", "Index bodies"].entries()) {
    await repo.commit({ message });
    await rig.push(repo, { fullName: "acme/find" });
    await rig.ended(at + 1, "acme/find");
  }
  await using tab = await open(t, "/");
  const { page } = tab;
  const prod = card(page, "acme/find prod");
  await prod.getByText(/Live: #2/).waitFor();
  await prod.getByRole("button", { name: "Roll back acme/find prod" }).click();
  const dialog = page.getByRole("dialog", { name: "Roll back acme/find prod?" });
  await dialog.getByText("Then prod is held: nothing else goes there until somebody releases it.").waitFor();
  await dialog.getByRole("option", { name: /^#1 Index titles \([0-9a-f]{7}, live / }).waitFor({ state: "attached" });
  await dialog.getByRole("textbox", { name: "Reason" }).fill("searches time out");
  await dialog.getByRole("button", { name: "Roll back" }).click();
  await prod.getByText(/Live: #1/).waitFor();
  await prod.getByText("held", { exact: true }).waitFor();
  assert.match((await prod.textContent()) ?? "", /Held by local .*, since the rollback to #1: searches time out/);

  await prod.getByRole("button", { name: "Promote a build to acme/find prod" }).click();
  const promotion = page.getByRole("dialog", { name: "Promote a build to acme/find prod?" });
  await promotion.getByRole("option", { name: /^#2 Index bodies/ }).waitFor({ state: "attached" });
  assert.equal(await promotion.getByRole("combobox", { name: "Build" }).inputValue(), "2");
  await promotion.getByRole("button", { name: "Promote", exact: true }).click();
  await prod.getByText(/^prod is held by local since the rollback to #1: searches time out$/).waitFor();
  await prod.getByRole("button", { name: "Release acme/find prod" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Release", exact: true }).click();
  await prod.getByText(/Live: #2/).waitFor();
  assert.deepEqual(tab.complaints, []);
});

test("what failed in an environment is tried again from there", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using gate = await Gate.start();
  await using target = await Target.start();
  const repo = await rig.repo(application({ script: gate.line, deploy: `test "$1" = stage || ${target.line}` }));
  await using tab = await open(t, "/");
  const { page } = tab;
  await rig.push(repo, { fullName: "acme/again" });
  await gate.reached();
  const row = page.getByRole("listitem", { name: "acme/again", exact: true });
  await row.getByText("running", { exact: true }).waitFor();
  await gate.pass();
  const prod = card(page, "acme/again prod");
  await prod.getByText(/#1 failed here .*exit code/).waitFor();
  target.answer = "ready";
  await prod.getByRole("button", { name: "Retry acme/again#1 from prod" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Retry", exact: true }).click();
  await page.locator("dialog").waitFor({ state: "detached" });
  await until("a second round of prod alone", async () => {
    const { stages } = await rig.build(1, "acme/again");
    return stages.some(({ name, round }) => name === "prod" && round === 2);
  });
  const { stages } = await rig.ended(1, "acme/again");
  assert.deepEqual(
    stages.filter(({ round }) => round === 2).map(({ name }) => name),
    ["prod"],
  );
  assert.deepEqual(tab.complaints, []);
});

test("every page is without findings in both themes, and as narrow as a phone", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo(application({ script: `echo ${"wide ".repeat(50)}` }));
  await repo.commit({ message: "Show prices with tax" });
  await rig.push(repo, { fullName: "acme/shown" });
  await rig.ended(1, "acme/shown");
  await rig.post("/api/v1/environments/acme/shown/prod/pause", { reason: "black friday" });
  const ready: Readonly<Record<string, string>> = {
    "/": "Show prices with tax",
    "/builds?repository=acme%2Fshown": "Show prices with tax",
    "/builds/acme/shown/1": "Show prices with tax",
    "/executors": "slots",
    "/builds/nothing": "There is no such page",
  };
  for (const [path, text] of Object.entries(ready)) {
    await using tab = await open(t, path);
    await tab.page.locator("main").getByText(text).first().waitFor();
    await assertGood(tab.page);
    assert.deepEqual(tab.complaints, []);
  }
});

test("what is nowhere, and the help for keys, are good to hear and to look at", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await open(t, "/builds/nothing");
  const { page } = tab;
  await page.getByRole("heading", { name: "There is no such page" }).waitFor();
  assert.equal(await heard(page), NOT_FOUND);
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await assertGood(page);
  assert.match(await heard(page, "dialog"), /^- dialog "Keys":\n  - heading "Keys" \[level=2\]/);
  const keys = await page.getByRole("dialog").getByRole("term").allTextContents();
  assert.deepEqual(keys, [
    "?",
    "gb",
    "gl",
    "ge",
    "gd",
    "ga",
    "gs",
    "j",
    "k",
    "Enter",
    "/",
    "Esc",
    "/",
    "nN",
    "eE",
    "t",
    "w",
    "f",
  ]);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.deepEqual(tab.complaints, []);
});

const NOT_FOUND = `
- main:
  - heading "There is no such page" [level=1]
  - paragraph:
    - link "The board":
      - /url: /`.trim();
const BOARD = `
- list:
  - listitem "acme/heard":
    - heading "acme/heard" [level=2]:
      - link "acme/heard":
        - /url: /builds?repository=acme%2Fheard
    - paragraph:
      - text: passed
      - link "acme/heard#1":
        - /url: /builds/acme/heard/1
        - text: "#1"
      - text: Show prices with tax
    - paragraph:
      - text: main Ada Example,
      - time: AGO
      - text: ", took TIME"
    - list "Environments of acme/heard":
      - listitem:
        - heading "acme/heard stage" [level=3]: stage
        - text: open
        - paragraph:
          - text: "Live:"
          - link "acme/heard#1":
            - /url: /builds/acme/heard/1
            - text: "#1"
          - code: COMMIT
          - text: Show prices with tax
        - paragraph:
          - time: AGO
          - text: by Ada Example
        - button "Pause acme/heard stage": Pause…
        - button "Promote a build to acme/heard stage": Promote…
        - button "Roll back acme/heard stage" [disabled]: Roll back…
      - listitem:
        - heading "acme/heard prod" [level=3]: prod
        - text: paused
        - paragraph:
          - text: "Live:"
          - link "acme/heard#1":
            - /url: /builds/acme/heard/1
            - text: "#1"
          - code: COMMIT
          - text: Show prices with tax
        - paragraph:
          - time: AGO
          - text: by Ada Example
        - paragraph:
          - text: Paused by local
          - time: AGO
          - text: ", until somebody resumes it: black friday"
        - button "Resume acme/heard prod": Resume…
        - button "Promote a build to acme/heard prod": Promote…
        - button "Roll back acme/heard prod" [disabled]: Roll back…`.trim();
const LIST = `
- main:
  - heading "acme/heard" [level=1]
  - paragraph:
    - link "All repositories":
      - /url: /builds
  - search "Builds":
    - searchbox "Branch"
    - searchbox "Author"
    - combobox "State":
      - option "Any state" [selected]
      - option "running"
      - option "passed"
      - option "failed"
      - option "cancelled"
      - option "superseded"
      - option "skipped"
  - list:
    - listitem:
      - text: passed
      - paragraph:
        - link "acme/heard#1":
          - /url: /builds/acme/heard/1
        - text: Show prices with tax
      - paragraph:
        - text: main
        - code: COMMIT
        - text: Ada Example
      - paragraph:
        - time: AGO
        - text: ", took TIME"`.trim();

test("the board and the list as they are heard", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo(application());
  await repo.commit({ message: "Show prices with tax" });
  await rig.push(repo, { fullName: "acme/heard" });
  await rig.ended(1, "acme/heard");
  await rig.post("/api/v1/environments/acme/heard/prod/pause", { reason: "black friday" });
  await using tab = await open(t, "/");
  const { page } = tab;
  await page.getByRole("searchbox", { name: "Find a repository" }).fill("acme/heard");
  await card(page, "acme/heard prod").getByText("black friday").waitFor();
  assert.equal(await heard(page, ".board"), BOARD);
  await page.goto(new URL("/builds?repository=acme%2Fheard", rig.url).href);
  await page.getByRole("link", { name: "acme/heard#1" }).waitFor();
  assert.equal(await heard(page, "main"), LIST);
  assert.deepEqual(tab.complaints, []);
});

test("all is done by keys, and they can be switched off", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  for (const name of ["acme/keys-a", "acme/keys-b"]) {
    const repo = await rig.repo({ ".toroid.yml": "script: 'true'\n" });
    await rig.push(repo, { fullName: name });
    await rig.ended(1, name);
  }
  await using tab = await open(t, "/");
  const { page } = tab;
  const { keyboard } = page;
  await page.getByRole("link", { name: "acme/keys-b", exact: true }).waitFor();
  await keyboard.press("/");
  await keyboard.type("keys-");
  await page.getByRole("link", { name: "acme/broken", exact: true }).waitFor({ state: "detached" });
  assert.equal(await page.locator(".repository").count(), 2, "j typed into a field is a letter");
  await page.getByRole("heading", { name: "Board" }).click();
  await keyboard.press("j");
  await keyboard.press("j");
  await keyboard.press("k");
  await keyboard.press("j");
  await keyboard.press("Enter");
  await page.getByRole("heading", { name: "acme/keys-b" }).waitFor();
  await page.getByRole("link", { name: "acme/keys-b#1", exact: true }).waitFor();
  await keyboard.press("j");
  await keyboard.press("Enter");
  await page.getByRole("heading", { name: /^acme\/keys-b#1 passed/ }).waitFor();
  await keyboard.press("g");
  await keyboard.press("e");
  await page.getByRole("heading", { name: "Executors" }).waitFor();

  await keyboard.press("?");
  const help = page.getByRole("dialog", { name: "Keys" });
  await help.getByRole("checkbox", { name: "Single keys do something" }).uncheck();
  await keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" }); // by its role it is gone before the page knows
  await keyboard.press("g");
  await keyboard.press("b");
  await keyboard.press("?");
  await help.waitFor();
  await page.getByRole("heading", { name: "Executors", includeHidden: true }).waitFor();
  await help.getByRole("checkbox").check();
  assert.deepEqual(tab.complaints, []);
});

/** A tab that is given up with the test. */
function open(t: TestContext, path: string, prepare?: (page: Page) => Promise<unknown>): Promise<Tab> {
  return openFor(t, browser, new URL(path, rig.url), undefined, prepare);
}

/** As a proxy that knows its people does. */
function as(user: string): (page: Page) => Promise<void> {
  return (page) => page.setExtraHTTPHeaders({ "toroid-user": user });
}

function card(page: Page, environment: string): Locator {
  return page
    .getByRole("listitem")
    .filter({ has: page.getByRole("heading", { name: environment, exact: true }) })
    .last();
}
