/** What the sandbox helper says on its status descriptor, one JSON object a line. Pure. */
import { z } from "zod";

const count = z.number().int().nonnegative();

const line = z.discriminatedUnion("event", [
  z.looseObject({ event: z.literal("created"), weak: z.array(z.string()) }),
  z.looseObject({ event: z.literal("started"), setupTotalUs: z.number(), weak: z.array(z.string()).default([]) }),
  z.looseObject({
    event: z.literal("exit"),
    code: count.nullable(),
    signal: count.nullable(),
    reason: z.string(),
    message: z.string(),
    step: z.string().optional(),
    lacks: z.array(z.string()).default([]),
    stats: z.looseObject({ cpuUs: count, memoryPeakBytes: count.nullable() }).optional(),
  }),
  z.looseObject({ event: z.literal("refused"), message: z.string() }),
  z.looseObject({ event: z.literal("gone"), leftoverProcesses: count }),
]);

/** How one run of the sandbox ended. */
export interface Verdict {
  /** The command ran: from here on it may have acted. */
  readonly started: boolean;
  readonly weak: readonly string[];
  /** What the host could not hold it to and nobody allowed: then nothing ran. */
  readonly lacks: readonly string[];
  readonly setupMs: number;
  readonly code: number | null;
  readonly signal: number | null;
  readonly reason: string;
  /** One sentence for people. */
  readonly message: string;
  /** What of the setup failed, when the reason is `setup`. */
  readonly step: string | null;
  readonly cpuMs: number;
  readonly memoryPeakBytes: number | null;
}

/** A helper that was killed, or that said nothing we can read. */
export const SILENT: Verdict = {
  started: false,
  weak: [],
  lacks: [],
  setupMs: 0,
  code: null,
  signal: null,
  reason: "setup",
  message: "the sandbox helper ended without a word",
  step: null,
  cpuMs: 0,
  memoryPeakBytes: null,
};

/** Reads all lines of a run; those that are unknown or damaged are passed over, as the contract says. */
export function verdictOf(status: string): Verdict {
  let verdict = SILENT;
  for (const text of status.split("\n")) {
    const read = line.safeParse(jsonOrNull(text));
    if (!read.success) continue;
    const said = read.data;
    if (said.event === "created") verdict = { ...verdict, weak: said.weak };
    else if (said.event === "refused") verdict = { ...verdict, message: said.message };
    else if (said.event === "started") {
      const weak = [...verdict.weak, ...said.weak];
      verdict = { ...verdict, started: true, weak, setupMs: said.setupTotalUs / 1_000 };
    } else if (said.event === "exit") {
      verdict = {
        ...verdict,
        code: said.code,
        signal: said.signal,
        reason: said.reason,
        message: said.message,
        step: said.step ?? null,
        lacks: said.lacks,
        cpuMs: (said.stats?.cpuUs ?? 0) / 1_000,
        memoryPeakBytes: said.stats?.memoryPeakBytes ?? null,
      };
    }
  }
  return verdict;
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
