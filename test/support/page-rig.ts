/** The whole system and a browser beside it, for a file of tests of the page. */
import * as hooks from "node:test";
import type { Page } from "playwright-core";
import { Browser, type Tab } from "./browser.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "./leaks.ts";
import { Rig } from "./rig.ts";
import { missing, type Needs } from "./skips.ts";

export interface PageRig {
  readonly rig: Rig;
  readonly browser: Browser;
}

/**
 * One coordinator, one executor and one browser for all tests of the file, gone after them with all that they made.
 * Nothing is started where `needed` is missing, for each test is skipped there.
 */
export function pageRigForAll(needed: Needs, ready: (made: PageRig) => void | Promise<void>): void {
  let leaks: Snapshot;
  let rig: Rig | undefined;
  let browser: Browser | undefined;

  hooks.before(async () => {
    leaks = await snapshot();
    if (missing(needed) !== undefined) return;
    rig = await Rig.start();
    await rig.coordinator();
    rig.executor();
    browser = await Browser.start();
    await ready({ rig, browser });
  });

  hooks.after(async () => {
    await browser?.[Symbol.asyncDispose]();
    await rig?.[Symbol.asyncDispose]();
    await assertNoLeaks(leaks);
  });
}

/** A tab that is given up with the test. */
export async function openFor(
  t: hooks.TestContext,
  browser: Browser,
  url: URL,
  size?: { readonly width: number; readonly height: number },
  prepare?: (page: Page) => Promise<unknown>,
): Promise<Tab> {
  const tab = await browser.open(url.href, size, prepare);
  t.signal.addEventListener("abort", () => void tab.page.close(), { once: true });
  return tab;
}
