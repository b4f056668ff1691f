/** Where the time of a build went: what each stage did when, with idle time in between made short. Pure. */
import type { StageSummary } from "../../protocol/summary.ts";

/** What the style sheet has colours for. */
export const STEP_KINDS = [
  "queued",
  "checkout",
  "workspace",
  "install",
  "script",
  "artifact",
  "bake",
  "running",
  "other",
] as const;
export type StepKind = (typeof STEP_KINDS)[number];

export interface Segment {
  readonly name: string;
  readonly kind: StepKind;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Row {
  readonly stage: StageSummary;
  readonly segments: readonly Segment[];
}

export interface Waterfall {
  readonly rows: readonly Row[];
  /** Where an instant is, from 0 to 1. */
  readonly place: (atMs: number) => number;
  /** Time in which nothing of the build was to be done or waited for an executor, and where it is. */
  readonly gaps: readonly { readonly place: number; readonly ms: number }[];
}

const KINDS: Readonly<Record<string, StepKind>> = {
  plan: "checkout",
  checkout: "checkout",
  workspace: "workspace",
  image: "workspace",
  install: "install",
  script: "script",
  artifact: "artifact",
  publish: "artifact",
  bake: "bake",
};
/** A measure that runs beside the steps. */
const NO_STEP = "firstByte";
/** Of the time in which something went on, a longer gap takes no more than this. */
const GAP_SHARE = 0.04;
/** What is shorter is no gap. */
const LEAST_GAP_MS = 1_000;

export function waterfallOf(stages: readonly StageSummary[], nowMs: number): Waterfall {
  const rows = stages
    .map((stage) => ({ stage, segments: segmentsOf(stage, nowMs) }))
    .filter(({ segments }) => segments.length > 0);
  return { rows, ...scaleOf(rows.flatMap(({ segments }) => segments)) };
}

/** What a stage's newest attempt did, one after the other. */
export function segmentsOf(stage: StageSummary, nowMs: number): readonly Segment[] {
  const { queuedAtMs, claimedAtMs, startedAtMs, finishedAtMs, stepsMs } = stage;
  const endMs = finishedAtMs ?? nowMs;
  const segments: Segment[] = [];
  const add = (name: string, kind: StepKind, fromMs: number, toMs: number): void => {
    if (toMs > fromMs) segments.push({ name, kind, fromMs, toMs });
  };
  if (queuedAtMs !== null) add("queued", "queued", queuedAtMs, claimedAtMs ?? endMs);
  if (claimedAtMs === null) return segments;
  let atMs = claimedAtMs;
  for (const [name, ms] of Object.entries(stepsMs)) {
    if (name === NO_STEP) continue;
    const toMs = atMs + ms; // measured by its host; instants are of other clocks
    add(name, KINDS[name] ?? "other", atMs, toMs);
    atMs = toMs;
  }
  if (finishedAtMs !== null) {
    add("other", "other", atMs, finishedAtMs);
  } else {
    add("starting", "workspace", atMs, startedAtMs ?? nowMs);
    if (startedAtMs !== null) add("running", "running", Math.max(atMs, startedAtMs), nowMs);
  }
  return segments;
}

function scaleOf(segments: readonly Segment[]): Pick<Waterfall, "place" | "gaps"> {
  const busy: { fromMs: number; toMs: number }[] = [];
  for (const { fromMs, toMs } of segments.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const last = busy.at(-1);
    if (last !== undefined && fromMs <= last.toMs + LEAST_GAP_MS) last.toMs = Math.max(last.toMs, toMs);
    else busy.push({ fromMs, toMs });
  }
  const busyMs = busy.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
  const starts: number[] = [];
  const gaps: { place: number; ms: number }[] = [];
  let length = 0;
  for (const [i, { fromMs, toMs }] of busy.entries()) {
    const gapMs = i === 0 ? 0 : fromMs - (busy[i - 1]?.toMs ?? fromMs);
    const shownMs = Math.min(gapMs, busyMs * GAP_SHARE);
    if (gapMs > 0) gaps.push({ place: length + shownMs / 2, ms: gapMs });
    length += shownMs;
    starts.push(length);
    length += toMs - fromMs;
  }
  const whole = Math.max(1, length);
  return {
    gaps: gaps.map(({ place, ms }) => ({ place: place / whole, ms })),
    place(atMs) {
      const i = Math.max(
        0,
        busy.findLastIndex(({ fromMs }) => fromMs <= atMs),
      );
      const { fromMs, toMs } = busy[i] ?? { fromMs: 0, toMs: 0 };
      const into = Math.min(Math.max(0, atMs - fromMs), toMs - fromMs);
      return ((starts[i] ?? 0) + into) / whole;
    },
  };
}
