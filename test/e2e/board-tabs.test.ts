/** Many tabs, and streams that break, in a real browser on the real system. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Page, Request } from "playwright-core";
import type { Browser, Tab } from "../support/browser.ts";
import { openFor, pageRigForAll } from "../support/page-rig.ts";
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

test("ten tabs are live over one stream; when the one that has it is closed, another has", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const tabs: Tab[] = [];
  const streams: number[] = [];
  for (let at = 0; at < 10; at += 1) {
    const count = async (page: Page): Promise<unknown> =>
      page.on("request", (request) => request.url().endsWith("/api/v1/events") && streams.push(at));
    tabs.push(await open(t, "/", count));
  }
  const allLive = (some: readonly Tab[]): Promise<unknown> =>
    Promise.all(some.map(({ page }) => page.getByRole("status").getByText("live", { exact: true }).waitFor()));
  await allLive(tabs);
  assert.deepEqual(streams, [0], "one tab has the stream");
  const repo = await rig.repo({ ".toroid.yml": "script: 'true'\n" });
  const seen = (some: readonly Tab[], number: number): Promise<unknown> =>
    Promise.all(
      some.map(({ page }) =>
        page
          .getByRole("listitem", { name: "acme/tabs", exact: true })
          .filter({ hasText: "passed" })
          .getByRole("link", { name: `acme/tabs#${number}`, exact: true })
          .waitFor(),
      ),
    );
  await rig.push(repo, { fullName: "acme/tabs" });
  await seen(tabs, 1);

  const [first, ...rest] = tabs;
  await first?.page.close();
  // Nobody has the stream for a moment: what is pushed now must not be missed.
  await repo.commit();
  await rig.push(repo, { fullName: "acme/tabs" });
  await seen(rest, 2);
  assert.equal(streams.length, 2, `one of the others took it over: ${streams.join(" ")}`);
  await repo.commit();
  await rig.push(repo, { fullName: "acme/tabs" });
  await seen(rest, 3);
  for (const tab of rest) {
    assert.deepEqual(tab.complaints, []);
    await tab.page.close();
  }
});

test("a stream that broke goes on where it was, at a coordinator that was started anew", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const elsewhere = rig.url;
  const away = await rig.coordinator();
  const here = rig.url;
  const asked: Request[] = [];
  const count = async (page: Page): Promise<unknown> =>
    page.on("request", (request) => {
      if (request.url() === `${here}/api/v1/events`) asked.push(request);
    });
  await using tab = await open(t, "/", count);
  const row = tab.page.getByRole("listitem", { name: "acme/resume", exact: true }).filter({ hasText: "passed" });
  const repo = await rig.repo({ ".toroid.yml": "script: 'true'\n" });
  await rig.push(repo, { fullName: "acme/resume" });
  await row.getByRole("link", { name: "acme/resume#1", exact: true }).waitFor();
  await away.kill();
  await tab.page.getByRole("status").getByText("connection lost, trying again").waitFor();
  await repo.commit();
  await rig.push(repo, { fullName: "acme/resume" });
  await until("the other coordinator to see it through", async () => {
    const answer = await fetch(`${elsewhere}/api/v1/builds/acme/resume/2`);
    return ((await answer.json()) as { status: string }).status === "finished";
  });
  await rig.coordinator({ TOROID_HTTP_PORT: new URL(here).port });
  await row.getByRole("link", { name: "acme/resume#2", exact: true }).waitFor();
  await tab.page.getByRole("status").getByText("live", { exact: true }).waitFor();
  const heardUntil = await Promise.all(asked.map(async (one) => (await one.allHeaders())["last-event-id"]));
  assert.equal(heardUntil[0], undefined);
  assert.match(heardUntil.at(-1) ?? "", /./, "the browser says how far it had heard");
});

/** A tab that is given up with the test. */
function open(t: TestContext, path: string, prepare?: (page: Page) => Promise<unknown>): Promise<Tab> {
  return openFor(t, browser, new URL(path, rig.url), undefined, prepare);
}
