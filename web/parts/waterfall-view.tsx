import type { JSX } from "preact";
import type { BuildSummary, StageSummary } from "../../protocol/summary.ts";
import { useNow } from "../live/clock.ts";
import { hrefOf } from "../live/location.ts";
import { exact, took } from "./duration.ts";
import { Link } from "./link.tsx";
import { stageLabel } from "./stage-choice.ts";
import { lookOf } from "./state.tsx";
import { type Row, STEP_KINDS, type Waterfall, waterfallOf } from "./waterfall.ts";

/** Less than this share of the whole is still to be seen, and pointed at. */
const LEAST_PERCENT = 0.25;

interface Props {
  readonly build: BuildSummary;
  readonly chosen: StageSummary | null;
}

/** Where the time went: a line for each stage, a bar for each of its steps. */
export function WaterfallView({ build, chosen }: Props): JSX.Element | null {
  const now = useNow();
  const waterfall = waterfallOf(build.stages, now);
  if (waterfall.rows.length === 0) return null;
  const kinds = STEP_KINDS.filter((kind) =>
    waterfall.rows.some(({ segments }) => segments.some((one) => one.kind === kind)),
  );
  return (
    <section class="panel" aria-labelledby="time">
      <header class="panel-head">
        <h2 id="time">Where the time went</h2>
        <ul class="legend" aria-hidden="true">
          {kinds.map((kind) => (
            <li key={kind}>
              <span class={`step step-${kind}`} />
              {kind}
            </li>
          ))}
        </ul>
      </header>
      <ol class="waterfall">
        {waterfall.rows.map((row) => (
          <WaterfallRow
            build={build}
            row={row}
            waterfall={waterfall}
            chosen={row.stage === chosen}
            key={`${row.stage.name} ${row.stage.round}`}
          />
        ))}
      </ol>
    </section>
  );
}

interface RowProps {
  readonly build: BuildSummary;
  readonly row: Row;
  readonly waterfall: Waterfall;
  readonly chosen: boolean;
}

function WaterfallRow({ build, row: { stage, segments }, waterfall, chosen }: RowProps): JSX.Element {
  const id = { repository: build.repository, number: build.number };
  const percent = (atMs: number): number => waterfall.place(atMs) * 100;
  const [first, last] = [segments[0]?.fromMs ?? 0, segments.at(-1)?.toMs ?? 0];
  return (
    <li class={chosen ? "chosen" : undefined}>
      <Link
        class={`water-name tone-${lookOf(stage).tone}`}
        to={hrefOf({ page: "build", id, stage: { name: stage.name, round: stage.round } })}
      >
        {stageLabel(stage)}
      </Link>
      <div class="track" aria-hidden="true">
        {waterfall.gaps.map(({ place, ms }) => (
          <span class="gap" style={{ left: `${place * 100}%` }} title={`${took(ms)} in between`} key={place} />
        ))}
        {segments.map(({ name, kind, fromMs, toMs }) => (
          <span
            class={`step step-${kind}`}
            style={{
              left: `${percent(fromMs)}%`,
              width: `${Math.max(LEAST_PERCENT, percent(toMs) - percent(fromMs))}%`,
            }}
            title={`${name} ${exact(toMs - fromMs)}`}
            key={name}
          />
        ))}
      </div>
      <span class="water-took">{exact(last - first)}</span>
      <p class="water-steps">
        {segments.map(({ name, kind, fromMs, toMs }) => (
          <span key={name}>
            <span class={`step step-${kind}`} aria-hidden="true" /> {name} {exact(toMs - fromMs)}
          </span>
        ))}
      </p>
    </li>
  );
}
