import type { JSX } from "preact";
import { useNow } from "../live/clock.ts";
import type { Section } from "../live/log-buffer.ts";
import { exact } from "./duration.ts";
import { lookOfWord } from "./state.tsx";

interface Props {
  readonly section: Section;
  /** When the next phase began, or this one ended; null: it goes on. */
  readonly untilMs: number | null;
  readonly size: number;
  readonly isFolded: boolean;
  /** How the stage ended in it, when that was badly. */
  readonly outcome: string | null;
  /** A second time, where the heading itself is out of sight. */
  readonly isCopy: boolean;
  readonly toggle: () => void;
}

/** The heading of a phase: folds it, and says how long it took. */
export function LogHeading({ section, untilMs, size, isFolded, outcome, isCopy, toggle }: Props): JSX.Element {
  const now = useNow();
  const time = section.atMs === null ? "" : exact(Math.max(0, (untilMs ?? now) - section.atMs));
  const lines = size === 0 ? "no output" : `${size.toLocaleString("en")} ${size === 1 ? "line" : "lines"}`;
  const button = (
    <button type="button" onClick={toggle} aria-expanded={!isFolded} tabIndex={isCopy ? -1 : undefined}>
      <svg class="fold" viewBox="0 0 16 16" width="12" height="12" aria-hidden="true">
        <path d={isFolded ? "M6 3l5 5-5 5" : "M3 6l5 5 5-5"} />
      </svg>
      <span class="phase-name">{section.phase}</span>{" "}
      {outcome !== null && <span class="phase-outcome">{lookOfWord(outcome).word} here</span>}{" "}
      <span class="phase-facts">
        {lines}
        {time !== "" && ` · ${time}`}
      </span>
    </button>
  );
  return isCopy ? (
    <div class="row phase copy" aria-hidden="true">
      {button}
    </div>
  ) : (
    <h3 class="row phase">{button}</h3>
  );
}
