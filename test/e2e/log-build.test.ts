/** A build's page, in a real browser, on the real system: its way to the environments, and what a person does there. */
import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import type { Browser, Tab } from "../support/browser.ts";
import { buildPath, outputOf, whole } from "../support/log-page.ts";
import { openFor, pageRigForAll } from "../support/page-rig.ts";
import { assertGood, heard } from "../support/pages.ts";
import type { Rig } from "../support/rig.ts";
import { needs } from "../support/skips.ts";

const LIMIT = { timeout: 120_000 };
const NEEDED = { root: true, program: ["chromium", "bash"] } as const;

/** It prints in every colour there is, makes something, and goes to two environments when somebody agrees. */
function shop(n: number): Record<string, string> {
  return {
    ".toroid.yml": `kind: application
install: echo installed
script: sh colours; echo version=1.${n} >> $TOROID_OUTPUT
artifact: { files: [colours] }
entrypoint: deploy
environments:
  stage: { next: prod }
  prod: { approval: { self: true } }
`,
    "deploy*": '#!/bin/sh\necho "to $1"\n',
    colours: `for i in $(seq 0 255); do printf '\\033[38;5;%dmcolour %d\\033[0m \\033[48;5;%dmback\\033[0m\\n' $i $i $i; done
for i in 1 2 3 4 5 7 9; do printf '\\033[%dmlook %d\\033[0m\\n' $i $i; done
for i in $(seq 30 37) $(seq 90 97); do for j in $(seq 40 47); do printf '\\033[%d;%dmx\\033[0m ' $i $j; done; done; echo
`,
  };
}

let rig: Rig;
let browser: Browser;
pageRigForAll(NEEDED, (made) => {
  ({ rig, browser } = made);
});

/** A tab that is given up with the test. */
function open(t: TestContext, path: string, size?: { width: number; height: number }): Promise<Tab> {
  return openFor(t, browser, new URL(path, rig.url), size);
}

async function confirm(page: Page, title: string, action: string, reason?: string): Promise<void> {
  const dialog = page.getByRole("dialog", { name: title });
  await dialog.waitFor();
  if (reason !== undefined) await dialog.getByRole("textbox", { name: /^Reason/ }).fill(reason);
  await dialog.getByRole("button", { name: action, exact: true }).click();
  await dialog.waitFor({ state: "detached" });
}

test(
  "from the commit to prod in one picture: approved, superseded, rolled back to, promoted again",
  LIMIT,
  async (t) => {
    if (!needs(t, NEEDED)) return;
    const repo = await rig.repo(shop(1));
    await rig.push(repo);
    await using tab = await open(t, "/builds/acme/shop/1");
    const { page } = tab;
    await page.getByText(/Waits: prod: it waits for approval/).waitFor();
    const picture = page.getByRole("group", { name: "From the commit to the environments" });
    await picture.getByRole("link", { name: /^stage passed [0-9.]+s live now$/ }).waitFor();
    assert.match(
      await picture.ariaSnapshot(),
      /plan passed[^]*build passed[^]*artifact 1 file[^]*stage passed[^]*prod waiting/,
    );
    await page.getByRole("button", { name: "Approve acme/shop#1 for prod" }).click();
    await confirm(page, "Approve acme/shop#1 for prod?", "Approve");
    await picture.getByRole("link", { name: /^prod passed [0-9.]+s live now$/ }).waitFor();
    await page.getByRole("heading", { name: "acme/shop#1 passed" }).waitFor();

    await repo.commit({ files: shop(2) });
    await rig.push(repo);
    await page.goto(new URL("/builds/acme/shop/2", rig.url).href);
    await page.getByRole("button", { name: "Approve acme/shop#2 for prod" }).click();
    await confirm(page, "Approve acme/shop#2 for prod?", "Approve");
    await picture.getByRole("link", { name: /^prod passed [0-9.]+s live now$/ }).waitFor();

    await page.goto(new URL(buildPath("acme/shop", "", "prod"), rig.url).href);
    await page.getByRole("button", { name: "Roll back prod to acme/shop#1" }).click();
    await confirm(page, "Roll back prod to acme/shop#1?", "Roll back", "2 is slow");
    await picture.getByRole("link", { name: /^prod \(2\) passed [0-9.]+s live now$/ }).waitFor();
    assert.equal((await rig.environment("prod"))?.held?.why, "2 is slow");
    await rig.post("/api/v1/environments/acme/shop/prod/release", {});
    await page.goto(new URL("/builds/acme/shop/2?stage=prod&round=1", rig.url).href);
    await page.getByRole("button", { name: "Promote acme/shop#2 to prod" }).click();
    await confirm(page, "Promote acme/shop#2 to prod?", "Promote");
    await page.getByRole("button", { name: "Approve acme/shop#2 for prod" }).click();
    await confirm(page, "Approve acme/shop#2 for prod?", "Approve");
    await picture.getByRole("link", { name: /^prod \(2\) passed [0-9.]+s live now$/ }).waitFor();
    assert.deepEqual(tab.complaints, []);
  },
);

test("a stage tells what it did when, what it left, who tried it, and what it ran with", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await rig.push(await rig.repo(shop(1)), { fullName: "acme/facts" });
  await using tab = await open(t, buildPath("acme/facts"));
  const { page } = tab;
  await whole(page);
  const details = page.getByRole("region", { name: /^build passed/ });
  await details.waitFor();
  const time = page.getByRole("region", { name: "Where the time went" });
  const steps = time.getByRole("listitem").filter({ has: page.getByRole("link", { name: "build", exact: true }) });
  assert.match((await steps.textContent()) ?? "", /queued .*checkout .*workspace .*install .*script .*artifact /);
  assert.match((await details.textContent()) ?? "", /Outputsversion1\.1/);
  await details.getByText("Attempts", { exact: true }).click();
  await details.getByText(/^Attempt 1 on /).waitFor();
  await details.getByText("Configuration as run").click();
  const config = details.locator("pre.config");
  await config.waitFor();
  assert.match(
    (await config.textContent()) ?? "",
    /^name: build\n[^]*install:\n {4}- echo installed\n[^]*logBytes|log: 64MiB/,
  );
  assert.deepEqual(tab.complaints, []);
});

test("a stage that failed is tried again from its page, and what comes after it goes on", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  let answer = "not yet";
  const target = createServer((socket) => socket.on("error", () => undefined).end(answer));
  await new Promise<void>((resolve) => {
    target.listen(0, "127.0.0.1", resolve);
  });
  t.after(() => new Promise((resolve) => target.close(resolve)));
  const { port } = target.address() as AddressInfo;
  const isReady = `bash -c 'test "$(cat </dev/tcp/127.0.0.1/${port})" = ready'`;
  const repo = await rig.repo({
    ".toroid.yml":
      "kind: application\nscript: 'true'\nentrypoint: deploy\nenvironments: { one: { next: two }, two: {} }\n",
    "deploy*": `#!/bin/sh\n${isReady} || { echo "error: not yet"; exit 3; }\n`,
  });
  await rig.push(repo, { fullName: "acme/again" });
  assert.equal((await rig.ended(1, "acme/again")).outcome, "failed");
  await using tab = await open(t, "/builds/acme/again/1");
  const { page } = tab;
  const details = page.getByRole("region", { name: /^one failed/ });
  await details.getByText("exit code 3").waitFor();
  await outputOf(page, "one")
    .getByRole("button", { name: /^script failed here/ })
    .waitFor();
  answer = "ready";
  await page.getByRole("button", { name: "Retry one of acme/again#1" }).click();
  await confirm(page, "Retry one of acme/again#1?", "Retry", "it is ready now");
  await page.getByRole("link", { name: /^one \(2\) passed/ }).waitFor();
  await page.getByRole("region", { name: /^two \(2\) passed/ }).waitFor();
  await page.getByRole("heading", { name: "acme/again#1 passed" }).waitFor();
  assert.deepEqual(tab.complaints, []);
});

test("in both themes and on a phone the page is in order, with every colour that a log can have", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await rig.push(await rig.repo(shop(1)), { fullName: "acme/good" });
  await using tab = await open(t, buildPath("acme/good"), { width: 1280, height: 2_000 });
  const { page } = tab;
  await whole(page);
  await page.getByRole("combobox", { name: "Times" }).selectOption("clock times");
  await page.keyboard.press("/");
  await page.keyboard.type("colour 200");
  await outputOf(page).locator(".at").waitFor();
  await page.getByRole("button", { name: "Approve acme/good#1 for prod" }).waitFor();
  for (const title of ["Attempts", "Configuration as run", "Weaker than it could be"]) {
    await page.getByText(title, { exact: true }).click();
  }
  await page.locator("pre.config").waitFor();
  await assertGood(page);
  await page.getByRole("link", { name: /^prod waiting/ }).click();
  await page.getByText(/^There is no log yet/).waitFor();
  await assertGood(page);
  await page.goto(new URL("/builds/acme/good/1?stage=stage&round=1", rig.url).href);
  await whole(page);
  assert.match(
    (await heard(page)).replaceAll(/\b\d+(?:\.\d+)?(?:ms|s)\b/g, "TIME"),
    /heading "acme\/good#1 running" \[level=1\][^]*group "From the commit to the environments":[^]*region "Where the time went":[^]*region "stage passed":[^]*region "Log of stage":[^]*region "Output of stage":[^]*to stage/,
  );
  assert.deepEqual(tab.complaints, []);
});

test("with problems in the file the page is in order too", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await rig.push(await rig.repo({ ".toroid.yml": "scrpt: make\n" }), { fullName: "acme/broken" });
  await rig.ended(1, "acme/broken");
  await using tab = await open(t, "/builds/acme/broken/1");
  await tab.page.getByText("did you mean `script`?").waitFor();
  await tab.page.getByText("Nothing was printed.").waitFor();
  await assertGood(tab.page);
  assert.deepEqual(tab.complaints, []);
});

test("what strangers write is text here too: commits, branches, stages, outputs, file names", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const attack = (n: number): string => `<img/src=x/onerror=alert(${n})>`;
  const script = `printf '%s\\n' 'note=${attack(1)}' >> $TOROID_OUTPUT; printf '\\033]8;;javascript:alert(2)\\033\\\\link\\n'`;
  const repo = await rig.repo({ ".toroid.yml": `script: ${JSON.stringify(script)}\n` });
  await repo.commit({ message: `${attack(3)}\n\n<script>alert(4)</script>`, branch: attack(5) });
  await rig.push(repo, { fullName: "acme/text", ref: `refs/heads/${attack(5)}` });
  await rig.ended(1, "acme/text");
  await using tab = await open(t, buildPath("acme/text"), { width: 360, height: 740 });
  const { page } = tab;
  await whole(page);
  for (const text of [attack(1), attack(3), attack(5), "<script>alert(4)</script>"]) {
    await page.getByText(text, { exact: true }).first().waitFor();
  }
  await outputOf(page).getByText("link", { exact: true }).waitFor();
  await page.getByText("Configuration as run").click();
  await page.locator("pre.config").getByText("alert(1)").waitFor();
  assert.equal(await page.locator("img, body script, [onerror], a[href^='javascript']").count(), 0);
  await assertGood(page);
  assert.deepEqual(tab.complaints, []);
});
