import type { JSX } from "preact";
import type { Entry } from "../live/log-buffer.ts";
import { parseAnsi } from "./ansi.ts";
import { classesOf, colourText, type Style } from "./ansi-style.ts";
import { cutAtFinds } from "./log-finder.ts";

interface Props {
  readonly entry: Entry;
  readonly rows: number;
  /** As it is shown; empty for none. */
  readonly time: string;
  readonly isMarked: boolean;
  readonly isCurrent: boolean;
  readonly found: RegExp | null;
}

/** One line of a log, or a part of a long one, or a note in between. */
export function LogLine({ entry, rows, time, isMarked, isCurrent, found }: Props): JSX.Element {
  // The style sheet knows the height of one row only.
  const style = rows === 1 ? undefined : { height: `calc(var(--row) * ${rows})` };
  if (entry.kind === "note") {
    return (
      <div class="row note" style={style}>
        <span class="text">{entry.text}</span>
      </div>
    );
  }
  const names = ["row", isMarked && "marked", isCurrent && "at"].filter(Boolean).join(" ");
  return (
    <div class={names} style={style}>
      {/* For who points at it; by keyboard there would be thousands of them. */}
      <a
        class="number"
        href={`#L${entry.number}`}
        data-line={entry.number}
        data-rest={entry.isRest ? "" : undefined}
        tabIndex={-1}
        aria-hidden="true"
      />
      {time !== "" && <span class="time">{time}</span>}
      <span class="text">
        {parseAnsi(entry.text, entry.start).spans.map(({ text, style: look }, i) => (
          <Piece text={text} look={look} found={found} key={i} />
        ))}
      </span>
    </div>
  );
}

interface PieceProps {
  readonly text: string;
  readonly look: Style;
  readonly found: RegExp | null;
}

function Piece({ text, look, found }: PieceProps): JSX.Element {
  const [front, back] = [colourText(look.front), colourText(look.back)];
  const style = front === null && back === null ? undefined : { "--fx": front ?? "", "--bx": back ?? "" };
  return (
    <span class={classesOf(look) || undefined} style={style}>
      {found === null
        ? text
        : cutAtFinds(text, found).map((cut, i) => (cut.isFind ? <mark key={i}>{cut.text}</mark> : cut.text))}
    </span>
  );
}
