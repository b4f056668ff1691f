/** The log of a stage, in a real browser, on the real system: what a person sees of it and does with it. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Locator } from "playwright-core";
import { connectJet } from "../../kit/jetstream.ts";
import { LOG } from "../../protocol/streams.ts";
import { logSubject } from "../../protocol/subjects.ts";
import type { Browser, Tab } from "../support/browser.ts";
import { Gate } from "../support/gate.ts";
import { buildPath, inSight, marked, outputOf, whole } from "../support/log-page.ts";
import { openFor, pageRigForAll } from "../support/page-rig.ts";
import type { Rig } from "../support/rig.ts";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 90_000 };
const NEEDED = { root: true, program: ["chromium", "bash"] } as const;
const E = "\\033";

/** What most tests here look at: two phases, 3,000 lines, some of them bad news. */
const SHOP = {
  ".toroid.yml": "install: sh install\nscript: sh script\n",
  install: `echo fetching
printf '10%%\\r50%%\\r100%%\\n'
`,
  script: `awk 'BEGIN { for (i = 1; i <= 3000; i++) printf "line %d%s\\n", i, i % 1000 == 7 ? " error in part " i : "" }'
printf '${E}[31mred${E}[0m ${E}[38;5;208morange${E}[0m ${E}[38;2;10;200;30mgreen${E}[0m ${E}[1mbold${E}[22m plain\\n'
printf 'before${E}]0;a title\\007${E}[2J${E}[1;1H${E}P1$r${E}\\\\\\007${E}[?25l after\\n'
echo '<img/src=x/onerror=alert(1)><script>alert(2)</script>'
echo "long $(seq -s ' ' 1 120) end"
`,
};

let rig: Rig;
let browser: Browser;
pageRigForAll(NEEDED, async (made) => {
  ({ rig, browser } = made);
  await rig.push(await rig.repo(SHOP), { fullName: "acme/shop" });
  const { outcome } = await rig.ended(1);
  assert.equal(outcome, "passed");
});

/** A tab that is given up with the test. */
function open(t: TestContext, path: string, size?: { width: number; height: number }): Promise<Tab> {
  return openFor(t, browser, new URL(path, rig.url), size);
}

/** A tab with the whole log of acme/shop#1. */
async function openShop(t: TestContext, hash = ""): Promise<Tab & { readonly log: Locator }> {
  const tab = await open(t, buildPath("acme/shop", hash));
  await whole(tab.page);
  return Object.assign(tab, { log: outputOf(tab.page) });
}

async function colourOf(text: Locator): Promise<string> {
  return text.evaluate((element) => String(element.ownerDocument.defaultView?.getComputedStyle(element).color));
}

test("colours are those of the terminal, and what else a terminal would do does no harm", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await openShop(t);
  const { page, log } = tab;
  const colours = await Promise.all(
    ["red", "orange", "green", "plain"].map(async (word) => colourOf(log.getByText(word, { exact: true }).last())),
  );
  assert.equal(new Set(colours).size, 4, colours.join(" "));
  const bold = log.getByText("bold", { exact: true });
  assert.equal(await bold.evaluate((one) => one.ownerDocument.defaultView?.getComputedStyle(one).fontWeight), "700");
  await log.getByText("before after", { exact: true }).waitFor();
  await log.getByText("<img/src=x/onerror=alert(1)><script>alert(2)</script>", { exact: true }).waitFor();
  assert.equal(await page.locator("img, body script, [onerror]").count(), 0);
  await page.keyboard.press("/");
  await page.keyboard.type("100%");
  await log.locator(".at").getByText("100%", { exact: true }).waitFor();
  assert.equal(await log.locator(".at .text").textContent(), "100%", "as a progress bar ends");
  assert.deepEqual(tab.complaints, []);
});

test("a phase says how long it took and how much it printed, and stays folded", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await openShop(t);
  const { page, log } = tab;
  await log.press("Home");
  const install = log.getByRole("button", { name: /^install 2 lines · [0-9.]+m?s$/ });
  await install.waitFor();
  await log.getByText("fetching", { exact: true }).waitFor();
  await install.click();
  await log.getByText("fetching", { exact: true }).waitFor({ state: "detached" });
  assert.equal(await install.getAttribute("aria-expanded"), "false");
  await page.reload();
  await whole(page);
  await log.press("Home");
  await install.waitFor();
  assert.equal(await log.getByText("fetching", { exact: true }).count(), 0);
  // What is looked for is shown, wherever it is.
  await page.keyboard.press("/");
  await page.keyboard.type("fetching");
  await log.locator(".at").getByText("fetching", { exact: true }).waitFor();
  assert.equal(await install.getAttribute("aria-expanded"), "true");
  assert.deepEqual(tab.complaints, []);
});

test("lines tell when they came: not at all, since the start, or by the clock", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await openShop(t, "#L3");
  const { page, log } = tab;
  await log.getByText("line 1", { exact: true }).waitFor();
  const times = page.getByRole("combobox", { name: "Times" });
  assert.equal(await log.locator(".time").count(), 0);
  await times.selectOption("since the start");
  assert.match((await log.locator(".row:not(.ruler) .time").first().textContent()) ?? "", /^\d+:\d\d\.\d{3}$/);
  await page.keyboard.press("Escape");
  await log.focus();
  await page.keyboard.press("t");
  assert.match((await log.locator(".row:not(.ruler) .time").first().textContent()) ?? "", /^\d\d:\d\d:\d\d[.,]\d{3}$/);
  await page.reload();
  await log.locator(".time").nth(5).waitFor();
  await page.keyboard.press("t");
  await log.locator(".time").first().waitFor({ state: "detached" });
  assert.deepEqual(tab.complaints, []);
});

test("a click and one with the shift key mark lines, and their link shows them to others", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await openShop(t, "#L1500");
  const { page, log } = tab;
  await log.getByText("line 1498", { exact: true }).waitFor();
  assert.deepEqual(await marked(page), [1500]);
  const number = (line: number): Locator => log.locator(`a.number[data-line="${line}"]`);
  await number(1496).click();
  await number(1502).click({ modifiers: ["Shift"] });
  assert.deepEqual(await marked(page), [1496, 1497, 1498, 1499, 1500, 1501, 1502]);
  const link = page.url();
  assert.equal(new URL(link).hash, "#L1496-L1502");
  assert.ok((await inSight(page)).includes(1500), "it does not scroll under the hand");

  await using other = await open(t, new URL(link).pathname + new URL(link).search + new URL(link).hash);
  await outputOf(other.page).getByText("line 1494", { exact: true }).waitFor();
  assert.deepEqual(await marked(other.page), [1496, 1497, 1498, 1499, 1500, 1501, 1502]);
  assert.ok((await inSight(other.page)).includes(1496));
  await other.page.evaluate(`location.hash = "#L20"`);
  await outputOf(other.page).getByText("line 18", { exact: true }).waitFor();
  assert.deepEqual(await marked(other.page), [20]);
  assert.deepEqual([...tab.complaints, ...other.complaints], []);
});

test("all lines are searched, by keyboard from one to the next and back", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await openShop(t, "#L3");
  const { page, log } = tab;
  const search = page.getByRole("searchbox", { name: "Search this log" });
  const found = page.locator(".log-found");
  const at = async (text: string): Promise<void> => {
    await log.locator(".at").getByText(text).waitFor();
  };
  await page.keyboard.press("/");
  await search.pressSequentially("LINE 99");
  await found.getByText("1 of 11", { exact: true }).waitFor();
  await at("line 99");
  assert.equal(await log.locator(".at mark").textContent(), "line 99");
  await page.keyboard.press("Enter");
  await at("line 990");
  await log.focus();
  await page.keyboard.press("n");
  await at("line 991");
  await found.getByText("3 of 11", { exact: true }).waitFor();
  await page.keyboard.press("N");
  await page.keyboard.press("N");
  await at("line 99");
  await page.keyboard.press("N");
  await at("line 999");
  assert.ok((await inSight(page)).includes(1001));
  await search.fill("is not there");
  await found.getByText("no match", { exact: true }).waitFor();
  await search.press("Escape");
  assert.equal(await search.inputValue(), "");
  assert.equal(await page.evaluate("document.activeElement.className"), "log");
  assert.deepEqual(tab.complaints, []);
});

test("what most likely went wrong is one key away", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await openShop(t, "#L3");
  const { page, log } = tab;
  await page.getByRole("button", { name: "Next error 3" }).click();
  await log.locator(".at").getByText("error in part 7", { exact: false }).waitFor();
  await log.focus();
  await page.keyboard.press("e");
  await log.locator(".at").getByText("error in part 1007").waitFor();
  await page.keyboard.press("Shift+E");
  await page.keyboard.press("Shift+E");
  await log.locator(".at").getByText("error in part 2007").waitFor();
  assert.deepEqual(tab.complaints, []);
});

test("long lines go on to the right, or below when that is wanted", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await openShop(t);
  const { page, log } = tab;
  const overflow = (): Promise<number> => log.evaluate((one) => one.scrollWidth - one.clientWidth);
  await log.getByText(/^long 1 2 3/).waitFor();
  assert.ok((await overflow()) > 0);
  await page.getByRole("button", { name: "Wrap" }).click();
  await log
    .locator(".row")
    .getByText(/^long 1 2 3/)
    .waitFor();
  await until("the line to fit", async () => (await overflow()) === 0);
  const { height } = (await log.getByText(/^long 1 2 3/).boundingBox()) ?? assert.fail("it is not there");
  const row = log.locator(".row", { hasText: /long 1 2 3/ });
  assert.ok(height > 20 && height <= ((await row.boundingBox())?.height ?? 0), "all of it has room");
  assert.ok((await inSight(page)).includes(3006), "the end stays in sight");
  await page.getByRole("button", { name: "Wrap" }).click();
  assert.deepEqual(tab.complaints, []);
});

test("it is followed at its end, not while somebody reads above, and again when asked", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using gate = await Gate.start();
  const script = [`seq -f 'first %g' 1 200`, gate.line, `seq -f 'second %g' 1 200`, gate.line, "echo the end"];
  const lines = script.map((line) => `  - ${JSON.stringify(line)}\n`).join("");
  await rig.push(await rig.repo({ ".toroid.yml": `script:\n${lines}` }), { fullName: "acme/live" });
  await gate.reached();
  await using tab = await open(t, buildPath("acme/live"));
  const { page } = tab;
  const log = outputOf(page);
  const last = async (number: number): Promise<void> => {
    await until(`line ${number} to be in sight`, async () => (await inSight(page)).includes(number));
  };
  await last(200);
  await log.hover();
  await page.mouse.wheel(0, -1_000);
  const toEnd = page.getByRole("button", { name: "To the end" });
  await toEnd.waitFor();
  const read = await inSight(page);
  // A tab that nobody sees costs nothing, and misses nothing.
  await page.evaluate(`Object.defineProperty(document, "hidden", { configurable: true, value: true })`);
  await page.evaluate(`document.dispatchEvent(new Event("visibilitychange"))`);
  const count = page.getByText("200 lines", { exact: true });
  await gate.pass();
  await gate.reached();
  await until("the log to be written", async () => (await rig.log(1, "build", "", "acme/live")).includes("second 200"));
  assert.equal(await count.count(), 1);
  await page.evaluate("delete document.hidden");
  await page.evaluate(`document.dispatchEvent(new Event("visibilitychange"))`);
  await page.getByText("400 lines", { exact: true }).waitFor();
  assert.deepEqual(await inSight(page), read);
  await toEnd.click();
  await last(400);
  await gate.pass();
  await log.getByText("the end", { exact: true }).waitFor();
  await last(401);
  await whole(page);
  assert.deepEqual(tab.complaints, []);
});

test("what is missing of a log is said in its place, and what was too much at its end", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const repo = await rig.repo({
    ".toroid.yml": "limits: { log: 256KiB }\nscript: seq -f 'line %g of too many' 1 20000\n",
  });
  await rig.push(repo, { fullName: "acme/gap" });
  const stage = (await rig.ended(1, "acme/gap")).stages.find(({ name }) => name === "build");
  await using jet = await connectJet({ url: rig.nats.url, name: "test" });
  const filter = logSubject({ repository: "acme/gap", number: 1, stage: "build", round: 1 }, stage?.attempt ?? 1);
  const sequences: number[] = [];
  for (let seq = 1; ; seq = (sequences.at(-1) ?? 0) + 1) {
    const message = await jet.jsm.direct.getMessage(LOG.name, { seq, next_by_subj: filter });
    if (message === null) break;
    sequences.push(message.seq);
  }
  assert.ok(sequences.length >= 5, "a phase, some bytes, and an end");
  await jet.jsm.streams.deleteMessage(LOG.name, sequences.at(-3) ?? 0);
  await using tab = await open(t, buildPath("acme/gap"));
  await whole(tab.page);
  const log = outputOf(tab.page);
  await log.getByText(/^\d+ bytes over the limit were dropped$/).waitFor();
  await tab.page.keyboard.press("/");
  await tab.page.keyboard.type("bytes are missing here");
  await log
    .locator(".note")
    .getByText(/^\d+ bytes are missing here$/)
    .waitFor();
  assert.deepEqual(tab.complaints, []);
});

test("a log of 200,000 lines has only the few in sight on the page, and any of them at once", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const print = `awk 'BEGIN { for (i = 1; i <= 200000; i++) printf "${E}[3%dmpart %d${E}[0m is ${E}[1mdone${E}[0m\\n", i % 8, i }'\n`;
  await rig.push(await rig.repo({ ".toroid.yml": "script: sh print\n", print }), { fullName: "acme/big" });
  assert.equal((await rig.ended(1, "acme/big")).outcome, "passed");
  await using tab = await open(t, buildPath("acme/big", "#L123456"));
  const { page } = tab;
  await whole(page);
  await page.getByText("200,000 lines", { exact: true }).waitFor();
  await outputOf(page).getByText("part 123456", { exact: true }).waitFor();
  assert.deepEqual(await marked(page), [123_456]);
  assert.ok((await page.locator("*").count()) < 2_000);
  await page.keyboard.press("/");
  await page.keyboard.type("part 199999");
  await page.locator(".log-found").getByText("1 of 1", { exact: true }).waitFor();
  await outputOf(page).locator(".at").getByText("part 199999").waitFor();
  assert.deepEqual(tab.complaints, []);
});

test("who hears the page finds the log as a region with its phases", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  await using tab = await openShop(t, "#L3");
  const { page, log } = tab;
  await log.press("Home");
  const heard = await log.ariaSnapshot();
  assert.match(
    heard,
    /region "Output of build":[^]*heading "install [^"]*" \[level=3\]:[^]*button "install [^"]*" \[expanded\]/,
  );
  assert.match(heard, /fetching[^]*100%[^]*heading "script [^]*line 1/);
  await page.getByRole("heading", { name: "Log of build" }).waitFor();
  assert.match((await page.getByRole("status").allTextContents()).join("|"), /complete/);
  assert.equal(await log.getAttribute("tabindex"), "0");
});
