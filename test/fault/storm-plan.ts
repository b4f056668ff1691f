/** What becomes of each workspace of a storm, from a seed: the same each time. */
import { randomFrom } from "../support/random.ts";

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
  const chance = randomFrom(seed);
  const random = (): number => chance.next();
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
