import type { JSX } from "preact";
import type { BuildSummary, StageSummary } from "../../protocol/summary.ts";
import { useNow } from "../live/clock.ts";
import { hrefOf } from "../live/location.ts";
import { took } from "./duration.ts";
import { Link } from "./link.tsx";
import { stageLabel } from "./stage-choice.ts";
import { layoutStages, NODE, type Placed } from "./stage-layout.ts";
import { lookOf } from "./state.tsx";

const LABEL_CHARACTERS = 22;
const EDGE_ROOM = 2;

interface Props {
  readonly build: BuildSummary;
  readonly chosen: StageSummary | null;
}

/** The build as one picture: what comes after what, and how each stage is. */
export function StagePicture({ build, chosen }: Props): JSX.Element {
  const { nodes, edges, width, height } = layoutStages(build.stages);
  const [w, h] = [width + 2 * EDGE_ROOM, height + 2 * EDGE_ROOM];
  return (
    <div class="picture">
      <svg
        viewBox={`${-EDGE_ROOM} ${-EDGE_ROOM} ${w} ${h}`}
        width={w}
        height={h}
        role="group"
        aria-label="Stages in order"
      >
        {edges.map(({ from, to }) => (
          <path class="edge" d={curve(from, to)} key={`${from.stage.name} ${to.stage.name}`} />
        ))}
        {nodes.map((node) => (
          <StageNode build={build} node={node} chosen={node.stage === chosen} key={node.stage.name} />
        ))}
      </svg>
    </div>
  );
}

interface NodeProps {
  readonly build: BuildSummary;
  readonly node: Placed;
  readonly chosen: boolean;
}

function StageNode({ build, node: { stage, x, y }, chosen }: NodeProps): JSX.Element {
  const now = useNow();
  const look = lookOf(stage);
  const label = stageLabel(stage);
  const id = { repository: build.repository, number: build.number };
  const from = stage.startedAtMs ?? stage.claimedAtMs;
  const time = from === null ? "" : took(Math.max(0, (stage.finishedAtMs ?? now) - from));
  return (
    <Link
      to={hrefOf({ page: "build", id, stage: { name: stage.name, round: stage.round } })}
      class={`node tone-${look.tone}`}
      current={chosen}
      label={`${label} ${look.word} ${time}`.trim()}
    >
      <rect x={x} y={y} width={NODE.width} height={NODE.height} rx="6" />
      <path class="icon" d={look.path} transform={`translate(${x + 12} ${y + 11})`} />
      <text class="label" x={x + 36} y={y + 24}>
        {label.length > LABEL_CHARACTERS ? `${label.slice(0, LABEL_CHARACTERS - 1)}…` : label}
      </text>{" "}
      <text class="fact" x={x + 36} y={y + 45}>
        {look.word} {time}
      </text>
    </Link>
  );
}

function curve(from: Placed, to: Placed): string {
  const [x1, y1] = [from.x + NODE.width, from.y + NODE.height / 2];
  const [x2, y2] = [to.x, to.y + NODE.height / 2];
  const middle = (x1 + x2) / 2;
  return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
}
