/** What holds for every page of ours. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";

/** Narrower phones are not made any more. */
const NARROW = { width: 360, height: 740 };
const WIDE = { width: 1280, height: 800 };

interface Finding {
  readonly id: string;
  readonly help: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

/** In both themes axe-core finds nothing, and nothing is wider than a phone. Leaves the page in the size of a laptop. */
export async function assertGood(page: Page): Promise<void> {
  await page.evaluate(await readFile(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8"));
  for (const theme of ["light", "dark"]) {
    await page.evaluate(`document.documentElement.dataset.theme = "${theme}"`);
    const { violations } = await page.evaluate<{ violations: readonly Finding[] }>(
      // Without animations: a colour half way is nobody's.
      `Promise.all(document.getAnimations().map((one) => one.cancel())).then(() => axe.run(document, { resultTypes: ["violations"] }))`,
    );
    const found = violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${help}\n${html.slice(0, 300)}\n${failureSummary}`),
    );
    assert.deepEqual(found, [], `axe-core, ${theme}, ${page.url()}`);
  }
  await page.setViewportSize(NARROW);
  const [width, visible] = await page.evaluate<[number, number]>(
    "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
  );
  assert.ok(width <= visible, `${page.url()} is ${width} wide on ${visible}`);
  await page.setViewportSize(WIDE);
}

/** The page as somebody hears it, without what differs from one time to the next. */
export async function heard(page: Page, selector = "main"): Promise<string> {
  const text = await page.locator(selector).ariaSnapshot();
  return text
    .replaceAll(/\b[0-9a-f]{7}\b/g, "COMMIT")
    .replaceAll(/\b[0-9.]+(?:ms|s|m|h)(?: [0-9]+[ms])? ago\b/g, "AGO")
    .replaceAll(/\b[0-9.]+(?:ms|s|m|h)(?: [0-9]+[ms])?(?=["\n]|$)/gm, "TIME");
}
