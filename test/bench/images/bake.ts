/** What a bake costs beyond Packer's own time, as Packer tells it, against an EC2-compatible server. */
import { BakeRig, bakedBy, NEEDS } from "../../integration/executor/bake/rig.ts";
import { missing } from "../../support/skips.ts";
import type { Figures } from "../report.ts";
import { percentile, tenths } from "../statistics.ts";

const ROUNDS = 7;
const WITHIN_MS = 120_000;
const UNITS: Readonly<Record<string, number>> = { microsecond: 0.001, millisecond: 1, second: 1_000, minute: 60_000 };

export interface BakeFigures {
  readonly figures: Figures;
  /** What is not there for it; null: all is. */
  readonly missing: string | null;
}

export async function benchBake(): Promise<BakeFigures> {
  const lacks = missing(NEEDS);
  if (lacks !== undefined) return { figures: {}, missing: lacks };
  await using bakes = await BakeRig.start({ "README.md": "hello\n" });
  const [whole, overhead]: [number[], number[]] = [[], []];
  // The first one pays for what an executor loads once.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const id = await bakes.bake(bakedBy(["echo tested > /etc/tested"], { rebake: true }));
    const { outcome, message, stepsMs } = await bakes.rig.result(id, WITHIN_MS);
    if (outcome !== "passed") throw new Error(message);
    const ms = stepsMs["bake"] ?? Number.NaN;
    if (round === 0) continue;
    whole.push(ms);
    overhead.push(ms - packerMs((await bakes.rig.output(id)).toString("utf8")));
  }
  const figures = { bakeMs: tenths(percentile(whole, 0.5)), bakeOverheadMs: tenths(percentile(overhead, 0.5)) };
  return { figures, missing: null };
}

/** `Build '…' finished after 1 second 445 milliseconds.` */
function packerMs(log: string): number {
  const [, said = ""] = / finished after ([^.]+)\./.exec(log) ?? [];
  return [...said.matchAll(/(\d+) (microsecond|millisecond|second|minute)s?/g)].reduce(
    (sum, [, count, unit = ""]) => sum + Number(count) * (UNITS[unit] ?? 0),
    0,
  );
}
