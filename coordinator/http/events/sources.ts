/** Where changes come from: builds, environments, dead letters and executors, as people see them. */
import type { Presence } from "../../../protocol/commands.ts";
import { EVERY } from "../../../protocol/ids.ts";
import type { LetterSummary } from "../../../protocol/letter.ts";
import type { BuildSummary, EnvironmentSummary } from "../../../protocol/summary.ts";
import { explainEnvironment } from "../../projections/waiting.ts";
import { repositoryOf } from "../letters.ts";
import { explainer, type HttpParts } from "../ports.ts";
import type { Change } from "./hub.ts";
import type { Position } from "./position.ts";

/** Executors say every two seconds that they live, which is no news. */
const LOOK_MS = 500;

export interface Sources {
  position(): Position;
  build(summary: BuildSummary): Change;
  lanesSince(seq: number): readonly Change[];
  lettersSince(seq: number): readonly Change[];
  /** All that are there; who is not in it has gone. */
  everyExecutor(): Change;
}

type Parts = Pick<HttpParts, "history" | "lanes" | "letters" | "executors" | "dispatcher" | "stop">;

/**
 * @param store names the store that sequences are of
 * @param isHeard whether anybody listens
 */
export function changeSources(
  parts: Parts,
  store: string,
  tell: (change: Change) => void,
  isHeard: () => boolean,
): Sources {
  const { history, lanes, letters, executors, stop } = parts;
  const explain = explainer(parts);
  history.onChange(({ repository, number }, read) =>
    tell({ event: "build", key: `build ${repository}#${number}`, repository, read: () => explain(read()) }),
  );
  lanes.onChange((environment) => tell(environmentChange(environment)));
  letters.onChange((letter) => tell(letterChange(letter)));
  followExecutors(() => executors.alive(Date.now()), stop, tell, isHeard);
  return {
    position: () => ({ store, builds: history.seq(), lanes: lanes.seq(), letters: letters.seq() }),
    build: (summary) => {
      const { repository, number } = summary;
      return { event: "build", key: `build ${repository}#${number}`, repository, read: () => explain(summary) };
    },
    lanesSince: (seq) => lanes.changedSince(seq).map(environmentChange),
    lettersSince: (seq) => letters.changedSince(seq).map(letterChange),
    everyExecutor: () => {
      const all = executors.alive(Date.now());
      return {
        event: "executors",
        key: "executors",
        repository: EVERY,
        read: () => ({ executors: all }),
        readFor: (readable) => ({ executors: all.map((one) => runningWhat(one, readable)) }),
      };
    },
  };
}

function environmentChange(environment: EnvironmentSummary): Change {
  const { repository, environment: name } = environment;
  return {
    event: "environment",
    key: `environment ${repository} ${name}`,
    repository,
    read: () => explainEnvironment(environment),
  };
}

function letterChange(letter: LetterSummary): Change {
  return { event: "deadLetter", key: `letter ${letter.id}`, repository: repositoryOf(letter), read: () => letter };
}

/** With the names of those stages that whoever asks may read. */
export function runningWhat(presence: Presence, readable: (repository: string) => boolean): Presence {
  return { ...presence, runs: presence.runs.filter((stage) => readable(stage.split("#")[0] ?? "")) };
}

/** Tells when one comes, goes, or says something else than before. One that ran out is not told of by the store. */
function followExecutors(
  alive: () => readonly Presence[],
  stop: AbortSignal,
  tell: (change: Change) => void,
  isHeard: () => boolean,
): void {
  let known = new Map<string, { readonly presence: Presence; readonly text: string }>();
  const timer = setInterval(() => {
    // Who comes later hears of what is other than when somebody last heard.
    if (!isHeard()) return;
    const now = new Map(alive().map((presence) => [presence.id, { presence, text: JSON.stringify(presence) }]));
    const change = (presence: Presence, gone: boolean): void =>
      tell({
        event: "executor",
        key: `executor ${presence.id}`,
        repository: EVERY,
        read: () => ({ ...presence, gone }),
        readFor: (readable) => ({ ...runningWhat(presence, readable), gone }),
      });
    for (const [id, { presence, text }] of now) if (known.get(id)?.text !== text) change(presence, false);
    for (const [id, { presence }] of known) if (!now.has(id)) change(presence, true);
    known = now;
  }, LOOK_MS);
  // A coordinator that cannot start ends without having been told to stop.
  timer.unref();
  stop.addEventListener("abort", () => clearInterval(timer), { once: true });
}
