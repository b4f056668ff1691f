import type { JSX, Ref } from "preact";
import { setTimes, setWrap, times, wrap } from "../live/log-settings.ts";
import type { LogState } from "../live/log-stream.ts";
import { useStore } from "../live/store.ts";
import type { Finder } from "./log-finder.ts";
import { TIME_WAYS, TIME_WORDS } from "./log-times.ts";

const STATES: Readonly<Record<LogState, string>> = {
  open: "live",
  lost: "connection lost, trying again",
  ended: "complete",
};

interface Props {
  readonly state: LogState;
  readonly lines: number;
  readonly plainUrl: string;
  readonly fileName: string;
  readonly words: string;
  readonly setWords: (words: string) => void;
  readonly search: Ref<HTMLInputElement>;
  readonly finder: Finder | null;
  readonly errors: Finder | null;
  /** The entry that a search or the like has come to. */
  readonly at: number | null;
  readonly find: (direction: 1 | -1) => void;
  readonly findError: (direction: 1 | -1) => void;
  /** Before rows change their places. */
  readonly keepPlace: () => void;
  readonly leave: () => void;
}

/** What can be done with a log. */
export function LogBar(props: Props): JSX.Element {
  const { state, lines, finder, errors, at, words } = props;
  const way = useStore(times);
  const wraps = useStore(wrap);
  const toggleWrap = (): void => {
    props.keepPlace();
    setWrap(!wraps);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Enter") props.find(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") props.leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="log-bar">
      <div class="log-search" role="search">
        <input
          ref={props.search}
          type="search"
          data-filter
          placeholder="Search this log"
          aria-label="Search this log"
          value={words}
          onInput={(event) => props.setWords(event.currentTarget.value)}
          onKeyDown={onKeyDown}
          maxLength={200}
          autocomplete="off"
          spellcheck={false}
        />
        <span class="log-found" role="status">
          {finder === null ? "" : foundText(finder, at)}
        </span>
        <Arrow label="Previous match" path="M3 10l5-5 5 5" act={() => props.find(-1)} off={isEmpty(finder)} />
        <Arrow label="Next match" path="M3 6l5 5 5-5" act={() => props.find(1)} off={isEmpty(finder)} />
      </div>
      <button type="button" class="quiet" onClick={() => props.findError(1)} disabled={isEmpty(errors)}>
        Next error <Count of={errors?.hits.length ?? 0} />
      </button>
      <label class="log-times">
        <span>Times</span>
        <select value={way} onChange={(event) => setTimes(TIME_WAYS[event.currentTarget.selectedIndex] ?? "none")}>
          {TIME_WAYS.map((one) => (
            <option value={one} key={one}>
              {TIME_WORDS[one]}
            </option>
          ))}
        </select>
      </label>
      <button type="button" class="quiet" aria-pressed={wraps} onClick={toggleWrap}>
        Wrap
      </button>
      <a class="button quiet" href={props.plainUrl} download={props.fileName}>
        Download
      </a>
      <a class="button quiet" href={props.plainUrl}>
        Plain text
      </a>
      <p class="log-state">
        <span role="status" class={`link-state link-${state === "open" ? "live" : state}`}>
          <span class="dot" aria-hidden="true" />
          {STATES[state]}
        </span>{" "}
        <span class="log-lines">
          {lines.toLocaleString("en")} {lines === 1 ? "line" : "lines"}
        </span>
      </p>
    </div>
  );
}

function isEmpty(finder: Finder | null): boolean {
  return finder === null || finder.hits.length === 0;
}

function foundText({ hits }: Finder, at: number | null): string {
  if (hits.length === 0) return "no match";
  const place = at === null ? -1 : hits.indexOf(at);
  const count = hits.length.toLocaleString("en");
  if (place === -1) return `${count} ${hits.length === 1 ? "line" : "lines"}`;
  return `${(place + 1).toLocaleString("en")} of ${count}`;
}

function Count({ of: count }: { readonly of: number }): JSX.Element {
  return (
    <span class={count === 0 ? "count" : "count some"}>{count > 9_999 ? "9,999+" : count.toLocaleString("en")}</span>
  );
}

interface ArrowProps {
  readonly label: string;
  readonly path: string;
  readonly off: boolean;
  readonly act: () => void;
}

function Arrow({ label, path, off, act }: ArrowProps): JSX.Element {
  return (
    <button type="button" class="quiet icon" aria-label={label} title={label} disabled={off} onClick={act}>
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
        <path d={path} />
      </svg>
    </button>
  );
}
