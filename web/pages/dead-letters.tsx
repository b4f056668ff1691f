import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { LetterSummary } from "../../protocol/letter.ts";
import { letterChanges } from "../live/connection.ts";
import { amend, hrefOf } from "../live/location.ts";
import { useWhyNot } from "../live/me.ts";
import { usePages } from "../live/pages.ts";
import { useStore } from "../live/store.ts";
import { discardLetter, fetchLetter, fetchLetters, replayLetter } from "../live/system.ts";
import { useTitle } from "../live/title.ts";
import { Act } from "../parts/act.tsx";
import { Link } from "../parts/link.tsx";
import { Older } from "../parts/older.tsx";
import { ReasonDialog } from "../parts/reason-dialog.tsx";
import { Sentence } from "../parts/sentence.tsx";
import { lookOfWord, State } from "../parts/state.tsx";
import { Ago } from "../parts/time.tsx";

const STATES: readonly (readonly [string, string])[] = [
  ["waiting", "Wait for somebody"],
  ["replayed", "Replayed"],
  ["discarded", "Discarded"],
  ["all", "All"],
];

/** What nobody could take: why, what it says, and what becomes of it. */
export function DeadLettersPage({ state }: { readonly state: string }): JSX.Element {
  useTitle("Dead letters", "calm");
  const pages = usePages(
    async (before) => {
      const { letters, next } = await fetchLetters(state, before);
      return { items: letters, next };
    },
    (letter) => letter.id,
    [state, useStore(letterChanges)],
  );
  return (
    <>
      <div class="page-head">
        <h1>Dead letters</h1>
        <div class="filters">
          {STATES.map(([value, text]) => (
            <button
              type="button"
              class="chip"
              key={value}
              aria-pressed={state === value}
              onClick={() => amend(hrefOf({ page: "deadLetters", state: value }))}
            >
              {text}
            </button>
          ))}
        </div>
      </div>
      <ul class="rows">
        {pages.items.map((letter) => (
          <Letter letter={letter} learn={pages.replace} key={letter.id} />
        ))}
      </ul>
      <Older pages={pages} nothing="There is none: everything that came was understood." />
    </>
  );
}

interface Props {
  readonly letter: LetterSummary;
  readonly learn: (letter: LetterSummary) => void;
}

function Letter({ letter, learn }: Props): JSX.Element {
  const { id, kind, state, atMs, why, build, stage, history } = letter;
  const whyNot = useWhyNot("operate", kind === "stage" ? (build?.repository ?? null) : null);
  const what = kind === "push" ? "A message" : `The stage ${stage ?? ""}`;
  return (
    <li class="letter">
      <State look={lookOfWord(state === "open" ? "waiting" : state)} />
      <div class="what">
        <p class="name" tabIndex={-1}>
          {what}{" "}
          {build !== null && (
            <Link to={hrefOf({ page: "build", id: build, stage: null })}>
              {build.repository}#{build.number}
            </Link>
          )}
        </p>
        <p>
          <Sentence text={why} />
        </p>
        <Body letter={letter} />
        {history.length > 1 && (
          <ol class="history">
            {history.map((one) => (
              <li key={`${one.atMs} ${one.what}`}>
                <Ago atMs={one.atMs} /> {one.what}
                {one.by !== null && ` by ${one.by}`}
                {one.why !== "" && `: ${one.why}`}
              </li>
            ))}
          </ol>
        )}
      </div>
      <p class="when">
        <Ago atMs={atMs} />
      </p>
      <div class="acts">
        {state === "open" && (
          <>
            <Act
              label={`Replay dead letter ${id}`}
              whyNot={whyNot ?? (letter.whole ? null : "its end was cut off when it was kept")}
              dialog={(close) => (
                <ReasonDialog
                  title="Replay this dead letter?"
                  explains={
                    kind === "push"
                      ? "It is taken once more, as if it came now: it may become a build."
                      : "The stage is tried again, and what comes after it."
                  }
                  action="Replay"
                  required={false}
                  submit={async (reason) => learn(await replayLetter(id, reason))}
                  close={close}
                />
              )}
            >
              Replay…
            </Act>
            <Act
              label={`Discard dead letter ${id}`}
              whyNot={whyNot}
              dialog={(close) => (
                <ReasonDialog
                  title="Discard this dead letter?"
                  explains="Nothing becomes of it. It stays in the list of those discarded."
                  action="Discard"
                  required
                  submit={async (reason) => learn(await discardLetter(id, reason))}
                  close={close}
                />
              )}
            >
              Discard…
            </Act>
          </>
        )}
      </div>
    </li>
  );
}

/** What came, as text and nothing else. Lists have its beginning; the rest is fetched when somebody wants to read it. */
function Body({ letter }: { readonly letter: LetterSummary }): JSX.Element | null {
  const [whole, setWhole] = useState<LetterSummary | null>(null);
  if (letter.body === "") return null;
  const { body, attributes } = whole ?? letter;
  const open = (event: Event): void => {
    if (!(event.currentTarget instanceof HTMLDetailsElement) || !event.currentTarget.open || whole !== null) return;
    fetchLetter(letter.id).then(setWhole, () => setWhole(letter));
  };
  return (
    <details onToggle={open}>
      <summary>
        What it says{" "}
        <span class="soft">
          ({letter.bytes} bytes{letter.whole ? "" : ", its end was cut off"})
        </span>
      </summary>
      {Object.entries(attributes).map(([name, value]) => (
        <p key={name}>
          <span class="soft">{name}:</span> <code>{value}</code>
        </p>
      ))}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard */}
      <pre tabIndex={0}>{body}</pre>
    </details>
  );
}
