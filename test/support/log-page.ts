/** A build's page with its log in a real browser, for tests of it. */
import type { Locator, Page } from "playwright-core";

/** The stage `build` of build 1 of `repository`. */
export function buildPath(repository: string, hash = "", stage = "build"): string {
  return `/builds/${repository}/1?stage=${stage}&round=1${hash}`;
}

export function outputOf(page: Page, stage = "build"): Locator {
  return page.getByRole("region", { name: `Output of ${stage}`, exact: true });
}

/** Waits until all of it is there. */
export async function whole(page: Page): Promise<void> {
  await page.getByRole("status").getByText("complete", { exact: true }).waitFor();
}

/** Numbers of the lines that are in sight, whole. */
export async function inSight(page: Page): Promise<readonly number[]> {
  return page.evaluate<number[]>(`(() => {
    const box = document.querySelector(".log").getBoundingClientRect();
    return [...document.querySelectorAll(".log .number[data-line]")]
      .filter((one) => {
        const { top, bottom } = one.getBoundingClientRect();
        return top >= box.top && bottom <= box.bottom + 1;
      })
      .map((one) => Number(one.dataset.line));
  })()`);
}

/** Numbers of the lines that are marked, as far as they are on the page. */
export async function marked(page: Page): Promise<readonly number[]> {
  return page.evaluate<number[]>(
    `[...document.querySelectorAll(".log .marked .number")].map((one) => Number(one.dataset.line))`,
  );
}
