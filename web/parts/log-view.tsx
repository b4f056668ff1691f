import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { StageSummary } from "../../protocol/summary.ts";
import { type BuildId, logUrl } from "../live/api.ts";
import { LogBuffer, type Row } from "../live/log-buffer.ts";
import { followLog, type LogState } from "../live/log-stream.ts";
import { classesOf, parseAnsi } from "./ansi.ts";
import { stageLabel } from "./stage-choice.ts";

/** As in the style sheet. */
const ROW_PX = 20;
/** Rows kept beyond both edges, so that scrolling finds them there. */
const SPARE_ROWS = 30;

const STATES: Readonly<Record<LogState, string>> = {
  open: "following",
  lost: "connection lost, trying again",
  ended: "ended",
};

interface Props {
  readonly id: BuildId;
  readonly stage: StageSummary;
}

/** The log of one attempt, as it grows. Only the rows in sight are on the page, so its length does not matter. */
export function LogView({ id, stage }: Props): JSX.Element {
  const { buffer, state } = useLog(id, stage);
  const label = stageLabel(stage);
  return (
    <section class="log-section" aria-labelledby="log">
      <h2 id="log">Log of {label}</h2>
      {stage.attempt === 0 ? (
        <p>There is no log yet.</p>
      ) : (
        <>
          <p class="log-bar">
            <span role="status">{STATES[state]}</span>
            <a href={`${logUrl(id, stage, false)}&attempt=${stage.attempt}`}>Plain text</a>
          </p>
          <Rows rows={buffer.rows} count={buffer.rows.length} label={`Output of ${label}`} />
        </>
      )}
    </section>
  );
}

function useLog(id: BuildId, stage: StageSummary): { readonly buffer: LogBuffer; readonly state: LogState } {
  const buffer = useMemo(() => new LogBuffer(), []);
  const [{ state }, show] = useState<{ readonly state: LogState }>({ state: "open" });
  const { name, round, attempt } = stage;
  useEffect(() => {
    if (attempt === 0) return undefined;
    let frame = 0;
    const stop = followLog(id, { name, round, attempt }, buffer, (now) => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => show({ state: now })); // once a frame, however fast it comes
    });
    return () => {
      cancelAnimationFrame(frame);
      stop();
    };
  }, [attempt]);
  return { buffer, state };
}

interface RowsProps {
  readonly rows: readonly Row[];
  readonly count: number;
  readonly label: string;
}

function Rows({ rows, count, label }: RowsProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [follows, setFollows] = useState(true);
  const [seen, setSeen] = useState({ top: 0, height: 600 });
  const look = (): void => {
    const { scrollTop: top = 0, clientHeight: height = 0, scrollHeight = 0 } = box.current ?? {};
    setSeen({ top, height });
    setFollows(top + height >= scrollHeight - 2 * ROW_PX);
  };
  const toEnd = (): void => {
    if (box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  };
  useLayoutEffect(() => {
    if (follows) toEnd();
  });
  useEffect(() => {
    const sizes = new ResizeObserver(look);
    if (box.current !== null) sizes.observe(box.current);
    return () => sizes.disconnect();
  }, []);

  const first = Math.max(0, Math.floor(seen.top / ROW_PX) - SPARE_ROWS);
  const last = Math.min(count, Math.ceil((seen.top + seen.height) / ROW_PX) + SPARE_ROWS);
  return (
    <div class="log-frame">
      <div class="log" ref={box} onScroll={look} role="region" aria-label={label} tabIndex={0}>
        <div class="log-all" style={{ height: `${count * ROW_PX}px` }}>
          <div class="log-seen" style={{ transform: `translateY(${first * ROW_PX}px)` }}>
            {rows.slice(first, last).map((row, i) => (
              <RowLine row={row} key={first + i} />
            ))}
          </div>
        </div>
      </div>
      {!follows && (
        <button type="button" class="to-end" onClick={toEnd}>
          To the end
        </button>
      )}
    </div>
  );
}

function RowLine({ row }: { readonly row: Row }): JSX.Element {
  switch (row.kind) {
    case "phase":
      return <h3 class="row phase">{row.phase}</h3>;
    case "note":
      return <p class="row note">{row.text}</p>;
    case "text":
      return (
        <p class="row">
          <span class="number" aria-hidden="true">
            {row.number}
          </span>
          {parseAnsi(row.text, row.start).spans.map(({ text, style }, i) => (
            <span class={classesOf(style)} key={i}>
              {text}
            </span>
          ))}
        </p>
      );
  }
}
