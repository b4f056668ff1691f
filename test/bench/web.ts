/** What people's side of one coordinator holds: the page in a browser, and the API. */
import { loadavg } from "node:os";
import type { Report } from "./report.ts";
import { tenths } from "./statistics.ts";
import { benchApi } from "./web/api.ts";
import { benchPage } from "./web/page.ts";

export async function benchWeb(): Promise<Report> {
  const before = loadavg()[0] ?? 0;
  const page = await benchPage();
  const api = await benchApi();
  const load = { before: tenths(before), after: tenths(loadavg()[0] ?? 0) };
  const setup = { ...api.setup, ...page.setup, load, missing: page.missing };
  return { bench: "web", figures: { ...page.figures, ...api.figures }, ratios: {}, setup };
}
