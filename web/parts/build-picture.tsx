import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { BuildSummary, EnvironmentSummary, StageSummary } from "../../protocol/summary.ts";
import type { Artifact } from "../../protocol/work.ts";
import { useNow } from "../live/clock.ts";
import { hrefOf } from "../live/location.ts";
import { layoutBuild, NODE, type Placed } from "./build-graph.ts";
import { refOf } from "./build-row.tsx";
import { took } from "./duration.ts";
import { Link } from "./link.tsx";
import { stageLabel } from "./stage-choice.ts";
import { lookOf } from "./state.tsx";

const LABEL_CHARACTERS = 20;
const EDGE_ROOM = 3;
const COMMIT_ICON = "M1.5 8h3.5M11 8h3.5M8 5a3 3 0 100 6 3 3 0 000-6";
const BOX_ICON = "M2.5 5L8 2.2 13.5 5v6L8 13.8 2.5 11zM2.5 5L8 7.8 13.5 5M8 7.8v6";

interface Props {
  readonly build: BuildSummary;
  readonly chosen: StageSummary | null;
  /** As far as they are known. */
  readonly environments: readonly EnvironmentSummary[];
}

/** The build as one picture: from its commit to where it is live, and how each stage of it is. */
export function BuildPicture({ build, chosen, environments }: Props): JSX.Element {
  const { nodes, edges, width, height } = layoutBuild(build);
  const [w, h] = [width + 2 * EDGE_ROOM, height + 2 * EDGE_ROOM];
  const isLive = ({ environment }: StageSummary): boolean =>
    environments.some((one) => one.environment === environment && one.live?.number === build.number);
  const box = useRef<HTMLDivElement>(null);
  const at = nodes.find(({ thing }) => thing.kind === "stage" && thing.stage.name === chosen?.name);
  useEffect(() => {
    const { current } = box;
    if (current !== null && at !== undefined) current.scrollLeft = at.x + NODE.width / 2 - current.clientWidth / 2;
  }, [at?.x]);
  return (
    <div class="picture" ref={box}>
      <svg
        viewBox={`${-EDGE_ROOM} ${-EDGE_ROOM} ${w} ${h}`}
        width={w}
        height={h}
        role="group"
        aria-label="From the commit to the environments"
      >
        {edges.map(({ from, to }) => (
          <path class="edge" d={curve(from, to)} key={`${from.key} ${to.key}`} />
        ))}
        {nodes.map((node) => {
          const { thing, key } = node;
          if (thing.kind === "commit") return <CommitNode build={build} at={node} key={key} />;
          if (thing.kind === "artifact") return <ArtifactNode artifact={thing.artifact} at={node} key={key} />;
          const { stage } = thing;
          return (
            <StageNode
              build={build}
              stage={stage}
              at={node}
              chosen={stage.name === chosen?.name}
              isLive={isLive(stage)}
              key={key}
            />
          );
        })}
      </svg>
    </div>
  );
}

function CommitNode({ build, at }: { readonly build: BuildSummary; readonly at: Placed }): JSX.Element {
  const { commit, commitUrl } = build;
  const label = commit === null ? "commit not known yet" : `commit ${commit.slice(0, 7)}`;
  const box = <Box at={at} icon={COMMIT_ICON} label={commit?.slice(0, 7) ?? "commit"} fact={cut(refOf(build))} />;
  if (commitUrl === null) return <g class="node tone-calm">{box}</g>;
  return (
    <a class="node tone-calm" href={commitUrl} rel="noreferrer noopener" aria-label={`${label} at its forge`}>
      {box}
    </a>
  );
}

function ArtifactNode({ artifact, at }: { readonly artifact: Artifact; readonly at: Placed }): JSX.Element {
  const files = artifact.kind === "files" ? artifact : artifact.files;
  const [name, fact] =
    artifact.kind === "ami"
      ? ["AMI", `in ${plural(Object.keys(artifact.amis).length, "region")}`]
      : ["artifact", `${plural(files?.files ?? 0, "file")}, ${sizeText(files?.bytes ?? 0)}`];
  return (
    <g class="node tone-calm">
      <Box at={at} icon={BOX_ICON} label={name} fact={fact} />
    </g>
  );
}

interface StageProps {
  readonly build: BuildSummary;
  readonly stage: StageSummary;
  readonly at: Placed;
  readonly chosen: boolean;
  readonly isLive: boolean;
}

function StageNode({ build, stage, at, chosen, isLive }: StageProps): JSX.Element {
  const now = useNow();
  const look = lookOf(stage);
  const label = stageLabel(stage);
  const id = { repository: build.repository, number: build.number };
  const from = stage.startedAtMs ?? stage.claimedAtMs;
  const time = from === null ? "" : took(Math.max(0, (stage.finishedAtMs ?? now) - from));
  const live = isLive ? "live now" : "";
  return (
    <Link
      to={hrefOf({ page: "build", id, stage: { name: stage.name, round: stage.round } })}
      class={`node tone-${look.tone}`}
      current={chosen}
      label={[label, look.word, time, live].filter(Boolean).join(" ")}
    >
      <Box at={at} icon={look.path} label={cut(label)} fact={`${look.word} ${time}`.trim()}>
        {isLive && " "}
        {isLive && (
          <text class="live" x={at.x + NODE.width - 12} y={at.y + 23} text-anchor="end">
            live
          </text>
        )}
      </Box>
    </Link>
  );
}

interface BoxProps {
  readonly at: Placed;
  readonly icon: string;
  readonly label: string;
  readonly fact: string;
  readonly children?: ComponentChildren;
}

function Box({ at: { x, y }, icon, label, fact, children }: BoxProps): JSX.Element {
  return (
    <>
      <rect x={x} y={y} width={NODE.width} height={NODE.height} rx="8" />
      <path class="icon" d={icon} transform={`translate(${x + 12} ${y + 10})`} />
      <text class="label" x={x + 36} y={y + 23}>
        {label}
      </text>{" "}
      <text class="fact" x={x + 36} y={y + 42}>
        {fact}
      </text>
      {children}
    </>
  );
}

function cut(label: string): string {
  return label.length > LABEL_CHARACTERS ? `${label.slice(0, LABEL_CHARACTERS - 1)}…` : label;
}

function curve(from: Placed, to: Placed): string {
  const [x1, y1] = [from.x + NODE.width, from.y + NODE.height / 2];
  const [x2, y2] = [to.x, to.y + NODE.height / 2];
  const middle = (x1 + x2) / 2;
  return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

function sizeText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${Number((bytes / 1_000 ** power).toPrecision(3))} ${units[power]}`;
}
