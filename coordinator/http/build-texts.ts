/**
 * Builds as they are answered, kept as text: of those that have ended, since how others wait is another matter each time.
 * A text goes when its build changes, and after a while in any case: a replica of the store may answer with what was
 * there before.
 */
import { SizedCache } from "../../kit/sized-cache.ts";
import { onReconnect } from "../../kit/store-watch.ts";
import { type BuildId, formatBuild } from "../../protocol/ids.ts";
import { type BuildSummary, buildSummary } from "../../protocol/summary.ts";
import type { HttpParts } from "./ports.ts";

/** Some thousands of builds. */
const TEXT_BYTES = 8 * 1024 * 1024;
const KEPT_MS = 10_000;

export interface BuildTexts {
  /** The build as JSON, as its schema has it. */
  of(id: BuildId, read: () => Promise<BuildSummary>): string | Promise<string>;
}

interface Kept {
  readonly text: string;
  readonly untilMs: number;
}

export function keepBuildTexts({ jet, history }: Pick<HttpParts, "jet" | "history">): BuildTexts {
  const kept = new SizedCache<Kept>(TEXT_BYTES);
  /** Those that are being read, so that what is old by then is not kept. */
  const reading = new Map<string, { isStale: boolean }>();
  onReconnect(jet, () => kept.clear());
  history.onChange((id) => {
    const key = formatBuild(id);
    kept.delete(key);
    const now = reading.get(key);
    if (now !== undefined) now.isStale = true;
  });

  async function readIn(key: string, read: () => Promise<BuildSummary>): Promise<string> {
    const mine = { isStale: false };
    reading.set(key, mine);
    try {
      const build = await read();
      const text = JSON.stringify(buildSummary.encode(build));
      const isLast = reading.get(key) === mine && !mine.isStale;
      const isOver = build.status === "finished" && build.stages.every(({ status }) => status === "finished");
      if (isLast && isOver) kept.set(key, { text, untilMs: performance.now() + KEPT_MS }, text.length);
      return text;
    } finally {
      if (reading.get(key) === mine) reading.delete(key);
    }
  }

  return {
    of(id, read) {
      const key = formatBuild(id);
      const known = kept.get(key);
      return known !== undefined && known.untilMs > performance.now() ? known.text : readIn(key, read);
    },
  };
}
