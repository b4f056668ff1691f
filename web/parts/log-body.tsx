import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { StageSummary } from "../../protocol/summary.ts";
import { type BuildId, logUrl } from "../live/api.ts";
import { amend, hrefOf, useLocation } from "../live/location.ts";
import type { LogBuffer } from "../live/log-buffer.ts";
import { useFinder } from "../live/log-follow.ts";
import { folds, setFold, setTimes, setWrap, times, wrap } from "../live/log-settings.ts";
import type { LogState } from "../live/log-stream.ts";
import { useStore } from "../live/store.ts";
import { LogBar } from "./log-bar.tsx";
import { ERROR, type Finder, wordsToFind } from "./log-finder.ts";
import { LogLayout, ONE_ROW_EACH, WrappedHeights } from "./log-layout.ts";
import { marksText, readMarks, withMark } from "./log-marks.ts";
import { LogRows, ROW_PX } from "./log-rows.tsx";
import { TIME_WAYS } from "./log-times.ts";
import { stageLabel } from "./stage-choice.ts";

interface Props {
  readonly id: BuildId;
  readonly stage: StageSummary;
  readonly buffer: LogBuffer;
  readonly state: LogState;
}

/** Where to scroll once it is there: so that `index` is `fromTop` pixels below the upper edge. */
interface Goal {
  readonly index: number;
  readonly fromTop: number;
}

/** A log with all that can be done with it; only the rows in sight are on the page, so its length does not matter. */
export function LogBody({ id, stage, buffer, state }: Props): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const search = useRef<HTMLInputElement>(null);
  const goal = useRef<Goal | null>(null);
  const { hash } = useLocation();
  /** The line of the address that is still to be gone to. */
  const wanted = useRef<number | null>(null);
  const own = useRef<string | null>(null);
  const [seen, setSeen] = useState({ top: 0, height: 600, columns: 80 });
  const [follows, setFollows] = useState(readMarks(hash) === null);
  const [words, setWords] = useState("");
  const [at, setAt] = useState<number | null>(null);
  const wraps = useStore(wrap);
  const folded = useStore(folds);

  const foldName = (section: number): string => `${id.repository} ${stage.name} ${buffer.sections[section]?.phase}`;
  const closed = new Set(buffer.sections.flatMap((_, i) => (folded.has(foldName(i)) ? [i] : [])));
  const measured = useMemo(() => new WrappedHeights(seen.columns, buffer), [seen.columns, buffer]);
  const layout = new LogLayout(buffer.sections, buffer.length, closed, wraps ? measured : ONE_ROW_EACH);
  const lowest = Math.max(0, layout.rows * ROW_PX - seen.height);
  const top = follows ? lowest : Math.min(seen.top, lowest);

  const found = useMemo(() => (words === "" ? null : wordsToFind(words)), [words]);
  const finder = useFinder(buffer, found, false);
  const errors = useFinder(buffer, ERROR, true);
  const marks = readMarks(hash);

  const scrollTo = (index: number, fromTop: number): void => {
    goal.current = { index, fromTop };
    setFollows(false);
    setSeen((now) => ({ ...now }));
  };
  const go = (index: number): void => {
    setFold(foldName(layout.sectionOf(index)), false);
    setAt(index);
    scrollTo(index, Math.floor(seen.height / 3));
  };
  /** From where the last find was, or from what is in sight. */
  const find = (from: Finder | null, direction: 1 | -1): void => {
    const first = layout.between(Math.ceil(top / ROW_PX), layout.rows).find((one) => one.kind === "entry");
    const here = at === null ? (first?.index ?? 0) : at + direction;
    const hit = from?.hits[from.placeFrom(here, direction) ?? -1];
    if (hit !== undefined) go(hit);
  };
  /** What is in sight stays where it is while the rows above change. */
  const keepPlace = (): void => {
    const first = layout.between(Math.floor(top / ROW_PX), layout.rows).find((one) => one.kind === "entry");
    if (!follows && first !== undefined) goal.current = { index: first.index, fromTop: first.row * ROW_PX - top };
  };
  const toggle = (section: number): void => {
    const isFolded = closed.has(section);
    setFold(foldName(section), !isFolded);
    const from = buffer.sections[section]?.from ?? 0;
    const isAbove = layout.rowOf(from) * ROW_PX < top;
    if (!isFolded && isAbove) scrollTo(from, 0);
    else if (isFolded && state === "ended") setFollows(false);
  };
  const mark = (number: number, isMore: boolean): void => {
    const text = marksText(withMark(marks, number, isMore));
    own.current = text;
    amend(`${hrefOf({ page: "build", id, stage: { name: stage.name, round: stage.round } })}${text}`);
  };
  const toEnd = (): void => {
    setAt(null);
    setFollows(true);
  };

  // The first find of other words is gone to by itself.
  const shown = useRef<Finder | null>(null);
  useEffect(() => {
    if (finder === null || finder.hits.length === 0 || shown.current === finder) return;
    shown.current = finder;
    find(finder, 1);
  });
  useEffect(() => {
    if (own.current !== hash) wanted.current = readMarks(hash)?.from ?? null;
    own.current = null;
    if (wanted.current !== null) setSeen((now) => ({ ...now })); // it may be there already
  }, [hash]);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const line = wanted.current === null ? null : buffer.indexOf(wanted.current);
    if (line !== null) {
      wanted.current = null;
      go(line);
    } else if (goal.current !== null) {
      element.scrollTop = layout.rowOf(goal.current.index) * ROW_PX - goal.current.fromTop;
      goal.current = null;
    } else if (follows) {
      element.scrollTop = element.scrollHeight;
    }
  });
  useLogKeys({
    "/": () => search.current?.select(),
    n: () => find(finder, 1),
    N: () => find(finder, -1),
    e: () => find(errors, 1),
    E: () => find(errors, -1),
    f: toEnd,
    t: () => setTimes(TIME_WAYS[(TIME_WAYS.indexOf(times.get()) + 1) % TIME_WAYS.length] ?? "none"),
    w: () => {
      keepPlace();
      setWrap(!wrap.get());
    },
  });

  const label = stageLabel(stage);
  return (
    <>
      <LogBar
        state={state}
        lines={buffer.lines}
        plainUrl={`${logUrl(id, stage, false)}&attempt=${stage.attempt}`}
        fileName={`${id.repository.replaceAll("/", "-")}-${id.number}-${label.replaceAll(/[^\w.-]+/g, "-")}.log`}
        words={words}
        setWords={(next) => {
          setAt(null);
          setWords(next);
        }}
        search={search}
        finder={finder}
        errors={errors}
        at={at}
        find={(direction) => find(finder, direction)}
        findError={(direction) => find(errors, direction)}
        keepPlace={keepPlace}
        leave={() => {
          setWords("");
          box.current?.focus();
        }}
      />
      <LogRows
        box={box}
        buffer={buffer}
        layout={layout}
        closed={closed}
        top={top}
        height={seen.height}
        isWhole={state === "ended"}
        wraps={wraps}
        label={`Output of ${label}`}
        marks={marks}
        at={at}
        found={found}
        failedIn={isBad(stage.outcome) ? stage : null}
        follows={follows}
        setFollows={setFollows}
        setSeen={setSeen}
        toggle={toggle}
        mark={mark}
        toEnd={toEnd}
      />
    </>
  );
}

function isBad(outcome: string | null): boolean {
  return outcome !== null && ["failed", "errored", "timedOut", "unknown"].includes(outcome);
}

/** As the page's other keys, they can be switched off. */
const KEYS_OFF = "toroid.keys";

/** Single keys, but in a field or a dialog; what the page itself does with a key comes first. */
function useLogKeys(keys: Readonly<Record<string, () => void>>): void {
  // Of what was rendered last: keys may come faster than frames.
  const newest = useRef(keys);
  useLayoutEffect(() => {
    newest.current = keys;
  });
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const act = Object.hasOwn(newest.current, event.key) ? newest.current[event.key] : undefined;
      const isElsewhere = event.target instanceof Element && event.target.closest("input, select, textarea, dialog");
      if (act === undefined || isElsewhere || event.defaultPrevented) return;
      if (event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem(KEYS_OFF) === "off") return;
      event.preventDefault();
      act();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, []);
}
