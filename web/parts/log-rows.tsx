import type { JSX, RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { StageSummary } from "../../protocol/summary.ts";
import type { LogBuffer } from "../live/log-buffer.ts";
import { times } from "../live/log-settings.ts";
import { useStore } from "../live/store.ts";
import { LogHeading } from "./log-heading.tsx";
import type { LogLayout } from "./log-layout.ts";
import { LogLine } from "./log-line.tsx";
import type { Marks } from "./log-marks.ts";
import { timeText } from "./log-times.ts";

/** As in the style sheet. */
export const ROW_PX = 20;
/** Rows kept beyond both edges, so that scrolling finds them there; while it is followed, nobody scrolls. */
const SPARE_ROWS = 24;
const SPARE_ROWS_FOLLOWED = 6;
/** No log is lower than these rows, nor a short one much higher than its own, with a scroll bar. */
const LEAST_ROWS = 5;
const BAR_PX = 18;
/** What is measured, to know how many columns there are. */
const RULER = "0".repeat(100);

interface Seen {
  readonly top: number;
  readonly height: number;
  readonly columns: number;
}

interface Props {
  readonly box: RefObject<HTMLDivElement | null>;
  readonly buffer: LogBuffer;
  readonly layout: LogLayout;
  /** Sections that are folded. */
  readonly closed: ReadonlySet<number>;
  readonly top: number;
  readonly height: number;
  /** Nothing more will come. */
  readonly isWhole: boolean;
  readonly wraps: boolean;
  readonly label: string;
  readonly marks: Marks | null;
  readonly at: number | null;
  readonly found: RegExp | null;
  readonly failedIn: Pick<StageSummary, "phase" | "outcome"> | null;
  readonly follows: boolean;
  readonly setFollows: (follows: boolean) => void;
  readonly setSeen: (next: (now: Seen) => Seen) => void;
  readonly toggle: (section: number) => void;
  readonly mark: (number: number, isMore: boolean) => void;
  readonly toEnd: () => void;
}

/** The rows in sight, in a box as tall as all of them. */
export function LogRows(props: Props): JSX.Element {
  const { box, buffer, layout, top, height, wraps, label, marks, at, found, follows } = props;
  const way = useStore(times);
  const lastTop = useRef(0);
  const ruler = useRef<HTMLElement>(null);

  const look = (): void => {
    const { scrollTop = 0, clientHeight = 0 } = box.current ?? {};
    const room = ruler.current?.parentElement?.clientWidth ?? 0;
    const columns = Math.max(10, Math.floor(room / ((ruler.current?.offsetWidth ?? 0) / RULER.length)) || 80);
    props.setSeen((now) => {
      const isSame = now.top === scrollTop && now.height === clientHeight && now.columns === columns;
      return isSame ? now : { top: scrollTop, height: clientHeight, columns };
    });
  };
  const scrolled = (): void => {
    const { scrollTop = 0, clientHeight = 0, scrollHeight = 0 } = box.current ?? {};
    if (scrollTop + clientHeight >= scrollHeight - 2) props.setFollows(true);
    else if (scrollTop < lastTop.current) props.setFollows(false);
    lastTop.current = scrollTop;
    look();
  };
  const click = (event: MouseEvent): void => {
    const number = event.target instanceof Element ? event.target.closest("a.number") : null;
    if (number === null || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    props.mark(Number(number.getAttribute("data-line")), event.shiftKey);
  };
  useEffect(() => {
    const sizes = new ResizeObserver(look);
    if (box.current !== null) sizes.observe(box.current);
    return () => sizes.disconnect();
  }, [box, way]);

  const first = Math.floor(top / ROW_PX);
  const spare = follows ? SPARE_ROWS_FOLLOWED : SPARE_ROWS;
  const placed = layout.between(first - spare, Math.ceil((top + height) / ROW_PX) + spare);
  const above = layout.above(first);
  const heading = (section: number, isCopy: boolean): JSX.Element | null => {
    const one = buffer.sections[section];
    if (one === undefined) return null;
    const { failedIn } = props;
    return (
      <LogHeading
        key={`${isCopy ? "copy" : "phase"} ${section}`}
        section={one}
        untilMs={buffer.sections[section + 1]?.atMs ?? buffer.endAtMs}
        size={layout.sizeOf(section)}
        isFolded={props.closed.has(section)}
        outcome={failedIn?.phase === one.phase ? failedIn.outcome : null}
        isCopy={isCopy}
        toggle={() => props.toggle(section)}
      />
    );
  };
  const isMarked = (number: number): boolean => marks !== null && number >= marks.from && number <= marks.to;
  const ownPx = Math.max(LEAST_ROWS, layout.rows) * ROW_PX + BAR_PX;
  return (
    <div class={`log-frame times-${way}`}>
      <div
        class={wraps ? "log wraps" : "log"}
        style={props.isWhole ? { maxHeight: `${ownPx}px` } : undefined}
        ref={box}
        onScroll={scrolled}
        onClick={click}
        role="region"
        aria-label={label}
        tabIndex={0}
      >
        <div class="row ruler" aria-hidden="true">
          <span class="number" />
          {way !== "none" && <span class="time" />}
          <span class="text">
            <i ref={ruler}>{RULER}</i>
          </span>
        </div>
        <div class="log-all" style={{ height: `${layout.rows * ROW_PX}px` }}>
          {above !== null && heading(above, true)}
          <div class="log-seen" style={{ transform: `translateY(${(placed[0]?.row ?? 0) * ROW_PX}px)` }}>
            {placed.map((one, slot) => {
              if (one.kind === "heading") return heading(one.section, false);
              const entry = buffer.at(one.index);
              return (
                <LogLine
                  // Where all lines change in each frame, their elements need not.
                  key={follows ? slot : one.index}
                  entry={entry}
                  rows={one.rows}
                  time={entry.kind === "note" || entry.isRest ? "" : timeText(way, entry.atMs, buffer.beganAtMs)}
                  isMarked={entry.kind === "text" && isMarked(entry.number)}
                  isCurrent={one.index === at}
                  found={found}
                />
              );
            })}
          </div>
        </div>
      </div>
      {!follows && (
        <button type="button" class="to-end" onClick={props.toEnd}>
          <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
            <path d="M8 3v9M4 8.5L8 12.5l4-4" />
          </svg>
          To the end
        </button>
      )}
    </div>
  );
}
