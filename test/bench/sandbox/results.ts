/** From µs of single runs to what a benchmark says. */
import type { Figures } from "../report.ts";
import { percentile } from "../statistics.ts";
import type { Times } from "./driver.ts";

/** µs of each run of one loop, and of each of two loops side by side. */
export interface Loops {
  readonly one: readonly number[];
  readonly two: readonly (readonly number[])[];
}

/** Ours are above, these below. */
const COMPARED = ["bubblewrapOverlay", "bubblewrapTmpOverlay", "crun", "runc", "docker", "bareClone"] as const;

/** The median of each case, and its deciles. */
export function startFigures(times: Times): Figures {
  const rows = [...times].flatMap(([name, us]) => [
    [`${name}Ms`, ms(us, 0.5)] as const,
    [`${name}MsP10`, ms(us, 0.1)] as const,
    [`${name}MsP90`, ms(us, 0.9)] as const,
  ]);
  return Object.fromEntries(rows);
}

/** How long a run takes, and how many start in a second. */
export function loopFigures({ one, two }: Loops): Figures {
  return {
    oneLoopMs: ms(one, 0.5),
    twoLoopsMs: ms(two.flat(), 0.5),
    startsPerSecondOneLoop: Math.round(perSecond(one)),
    startsPerSecondTwoLoops: Math.round(two.reduce((sum, us) => sum + perSecond(us), 0)),
  };
}

/** Ours / theirs; the last two compare us with ourselves. What was not measured has none. */
export function ratios(figures: Figures): Figures {
  const pairs: readonly (readonly [string, string, string])[] = [
    ...COMPARED.map((name) => [name, "oursMs", `${name}Ms`] as const),
    ["networkFullToNone", "networkFullMs", "oursMs"],
    ["twoLoopsToOne", "twoLoopsMs", "oneLoopMs"],
  ];
  const rows = pairs.flatMap(([name, above, below]) => {
    const ratio = (figures[above] ?? Number.NaN) / (figures[below] ?? Number.NaN);
    return Number.isNaN(ratio) ? [] : [[name, Math.round(ratio * 1_000) / 1_000] as const];
  });
  return Object.fromEntries(rows);
}

function ms(us: readonly number[], p: number): number {
  return Math.round(percentile(us, p)) / 1_000;
}

function perSecond(us: readonly number[]): number {
  return (us.length * 1e6) / us.reduce((sum, each) => sum + each, 0);
}
