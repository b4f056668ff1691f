/** What people's side of one coordinator holds. */
import { loadavg } from "node:os";
import type { Report } from "./report.ts";
import { tenths } from "./statistics.ts";
import { benchApi } from "./web/api.ts";

export async function benchWeb(): Promise<Report> {
  const before = loadavg()[0] ?? 0;
  const api = await benchApi();
  const load = { before: tenths(before), after: tenths(loadavg()[0] ?? 0) };
  return { bench: "web", figures: api.figures, ratios: {}, setup: { ...api.setup, load } };
}
