import type { JSX } from "preact";

/** How something is, in a word, a shape and a colour, so that no one of them has to be seen. */
export interface Look {
  readonly word: string;
  readonly tone: "good" | "bad" | "busy" | "calm" | "held";
  /** Of a 16 by 16 picture. */
  readonly path: string;
}

const TICK = "M3 8.5l3.2 3.2L13 5";
const CROSS = "M4 4l8 8M12 4l-8 8";
const DOTS = "M3 8h.1M8 8h.1M13 8h.1";
const PLAY = "M5 3.5v9l7-4.5z";
const BAR = "M3.5 8h9";
const MARK = "M8 3v6M8 12.5v.1";
const HOLD = "M5.5 3.5v9M10.5 3.5v9";

const LOOKS: Readonly<Record<string, Look>> = {
  passed: { word: "passed", tone: "good", path: TICK },
  failed: { word: "failed", tone: "bad", path: CROSS },
  errored: { word: "errored", tone: "bad", path: MARK },
  timedOut: { word: "timed out", tone: "bad", path: CROSS },
  unknown: { word: "unknown", tone: "bad", path: MARK },
  cancelled: { word: "cancelled", tone: "calm", path: BAR },
  superseded: { word: "superseded", tone: "calm", path: BAR },
  skipped: { word: "skipped", tone: "calm", path: BAR },
  planning: { word: "planning", tone: "busy", path: PLAY },
  claimed: { word: "starting", tone: "busy", path: PLAY },
  running: { word: "running", tone: "busy", path: PLAY },
  retrying: { word: "retrying", tone: "busy", path: PLAY },
  queued: { word: "queued", tone: "calm", path: DOTS },
  waiting: { word: "waiting", tone: "calm", path: DOTS },
  paused: { word: "paused", tone: "held", path: HOLD },
  held: { word: "held", tone: "held", path: HOLD },
  approval: { word: "waits for approval", tone: "held", path: MARK },
  draining: { word: "draining", tone: "held", path: HOLD },
  drained: { word: "drained", tone: "held", path: HOLD },
  replaying: { word: "replaying", tone: "busy", path: PLAY },
  replayed: { word: "replayed", tone: "good", path: TICK },
  discarded: { word: "discarded", tone: "calm", path: BAR },
  done: { word: "done", tone: "good", path: TICK },
  refused: { word: "refused", tone: "bad", path: CROSS },
  sending: { word: "sending", tone: "busy", path: PLAY },
  delivered: { word: "delivered", tone: "good", path: TICK },
  gaveUp: { word: "given up", tone: "bad", path: CROSS },
  overtaken: { word: "overtaken", tone: "calm", path: BAR },
  open: { word: "open", tone: "calm", path: PLAY },
};

/** Of a build or stage. */
export function lookOf(o: { readonly status: string; readonly outcome: string | null }): Look {
  return lookOfWord(o.outcome ?? o.status);
}

/** Of a build in a list: what only waits does not run. */
export function lookOfBuild(build: {
  readonly status: string;
  readonly outcome: string | null;
  readonly waiting: string;
}): Look {
  return build.waiting === "" ? lookOf(build) : lookOfWord("waiting");
}

export function lookOfWord(word: string): Look {
  return LOOKS[word] ?? { word, tone: "calm", path: DOTS };
}

export function State({ look }: { readonly look: Look }): JSX.Element {
  return (
    <span class={`state tone-${look.tone}`}>
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        <path d={look.path} />
      </svg>
      {look.word}
    </span>
  );
}
