/** What becomes of each workspace of a storm, from a seed: the same each time. */

/** How a workspace comes to its end. `itself`: its command ends; else somebody ends it, at some moment. */
export type End = "itself" | "supervisor" | "init" | "caller" | "cancel";

export interface Fate {
  readonly number: number;
  readonly end: End;
  /** The moment of a violent end, in usual lifetimes of a workspace. */
  readonly after: number;
  /** A command that ends only when it is ended. */
  readonly endless: boolean;
  readonly network: "none" | "full";
}

const VIOLENT = ["supervisor", "init", "caller", "cancel"] as const satisfies readonly End[];
/** Later than this a short command is long over. */
const LATEST = 1.5;

export function fates(seed: number, count: number): readonly Fate[] {
  const random = mulberry32(seed);
  return Array.from({ length: count }, (_, number) => {
    const [violence, kind, after, endless, network] = [random(), random(), random(), random(), random()];
    const end = violence < 1 / 3 ? (VIOLENT[Math.floor(kind * VIOLENT.length)] ?? "cancel") : "itself";
    return {
      number,
      end,
      after: after * LATEST,
      // Who is to be killed must be there still: pid 1 is known only once the command has started.
      endless: end === "init" || (end !== "itself" && endless < 0.5),
      network: network < 1 / 3 ? "full" : "none",
    };
  });
}

/** A small generator with a good spread; what it is called in the literature. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
