/** What people are told of each event; pure. */
import { type Announcement, announce, type Predicate } from "../../protocol/announcements.ts";
import { assertNever } from "../../protocol/errors.ts";
import type { BuildEvent, LaneEvent, StageEvent } from "../../protocol/events.ts";
import type { BuildId, EnvironmentId, StageId } from "../../protocol/ids.ts";
import type { Stage } from "../../protocol/stage.ts";

export interface Told {
  readonly subject: string;
  readonly event: Announcement;
}

type Data = Readonly<Record<string, unknown>>;

export function tellOfBuild(id: BuildId, event: BuildEvent): readonly Told[] {
  const tell = (what: Predicate, data: Data): Told =>
    announce(what, { repository: id.repository, build: id.number, environment: null }, event.id, event.atMs, data);
  switch (event.type) {
    case "created": {
      const { ref, commit, author, message } = event.push;
      return [
        tell(
          { subject: "pipelinerun", predicate: "queued" },
          { ref, commit, author, message: firstLine(message), by: event.by },
        ),
      ];
    }
    case "planned": {
      const { commit } = event.source;
      return [
        tell(
          { subject: "pipelinerun", predicate: "started" },
          { commit, stages: event.plan.stages.map((one) => one.name) },
        ),
      ];
    }
    case "requested": {
      const { environment, round, by, how, why } = event;
      return [tell({ subject: "stage", predicate: "requested" }, { requested: environment, round, by, how, why })];
    }
    case "finished": {
      const { outcome, message } = event;
      return [tell({ subject: "pipelinerun", predicate: "finished" }, { outcome, message })];
    }
    case "cancelRequested":
      return [tell({ subject: "pipelinerun", predicate: "cancelrequested" }, { by: event.by, why: event.why })];
    case "retried": {
      const { by, why, rounds } = event;
      const stages = rounds.map(({ stage }) => stage);
      return [tell({ subject: "pipelinerun", predicate: "retried" }, { by, why, stages })];
    }
    case "replanned":
      return [tell({ subject: "pipelinerun", predicate: "retried" }, { by: event.by, why: event.why, stages: [] })];
    case "superseded":
      return [tell({ subject: "pipelinerun", predicate: "superseded" }, { by: event.by })];
    case "settled":
    case "archived":
      return [];
    default:
      return assertNever(event, "build event");
  }
}

export function tellOfStage(id: StageId, stage: Stage, event: StageEvent): readonly Told[] {
  const environment = stage.work?.kind === "stage" ? stage.work.stage.environment : null;
  const at = { repository: id.repository, build: id.number, environment };
  const names = { stage: id.stage, round: id.round };
  const tell = (what: Predicate, data: Data, suffix = ""): Told =>
    announce(what, at, `${event.id}${suffix}`, event.atMs, { ...names, ...data });
  switch (event.type) {
    case "queued":
      return [tell({ subject: "stage", predicate: "queued" }, { attempt: event.attempt, pool: event.pool })];
    case "claimed": {
      const { executor, attempt, tookOver } = event;
      const claimed = tell({ subject: "stage", predicate: "claimed" }, { executor, attempt });
      if (tookOver === null) return [claimed];
      return [tell({ subject: "stage", predicate: "fenced" }, { why: tookOver }, "-fenced"), claimed];
    }
    case "started":
      return [
        tell(
          { subject: "taskrun", predicate: "started" },
          { executor: stage.executor, weak: event.weak, image: stage.image },
        ),
      ];
    case "publishing":
      return [];
    case "attemptErrored":
      return [tell({ subject: "stage", predicate: "errored" }, { code: event.code, message: event.message })];
    case "cancelRequested":
      return [tell({ subject: "stage", predicate: "cancelrequested" }, { by: event.by, why: event.why })];
    case "finished": {
      const { outcome, message, exitCode, phase, artifact } = event.result;
      const finished = tell({ subject: "taskrun", predicate: "finished" }, { outcome, message, exitCode, phase });
      if (artifact === null) return [finished];
      return [tell({ subject: "artifact", predicate: "packaged" }, { artifact }, "-artifact"), finished];
    }
    default:
      return assertNever(event, "stage event");
  }
}

export function tellOfLane(id: EnvironmentId, event: LaneEvent): readonly Told[] {
  const tell = (what: Predicate, build: number | null, data: Data, suffix = ""): Told =>
    announce(what, { ...id, build }, `${event.id}${suffix}`, event.atMs, data);
  switch (event.type) {
    case "entered": {
      const { number, commit, approval, rollback, askedBy: by, askedWhy: why } = event.entry;
      const told = [tell({ subject: "lane", predicate: "entered" }, number, { commit })];
      if (rollback) told.push(tell({ subject: "environment", predicate: "held" }, number, { by, why }, "-held"));
      if (approval === null) return told;
      const asked = { commit, from: approval.from };
      return [...told, tell({ subject: "approval", predicate: "requested" }, number, asked, "-approval")];
    }
    case "withdrawn": {
      const { number, outcome, why, rejectedBy: by } = event;
      const withdrawn = tell({ subject: "lane", predicate: "withdrawn" }, number, { outcome, why });
      if (by === null) return [withdrawn];
      return [tell({ subject: "approval", predicate: "rejected" }, number, { by, why }, "-approval"), withdrawn];
    }
    case "approved": {
      const { by, team, why } = event.agreement;
      const { liveCommit } = event;
      return [tell({ subject: "approval", predicate: "given" }, event.number, { by, team, why, liveCommit })];
    }
    case "admitted":
      return [tell({ subject: "lane", predicate: "admitted" }, event.entry.number, { commit: event.entry.commit })];
    case "left": {
      const left = tell({ subject: "lane", predicate: "left" }, event.number, { outcome: event.outcome });
      if (event.live === null) return [left];
      const { commit, artifact } = event.live;
      const data = { commit, artifact };
      const deployed = event.rollback
        ? tell({ subject: "service", predicate: "rolledback" }, event.number, data, "-deployed")
        : tell({ subject: "service", predicate: "deployed" }, event.number, data, "-deployed");
      return [deployed, left];
    }
    case "released":
      return [tell({ subject: "environment", predicate: "released" }, null, { by: event.by, why: event.why })];
    case "paused": {
      const { by, why, untilMs } = event.pause;
      const until = untilMs === null ? null : new Date(untilMs).toISOString();
      return [tell({ subject: "environment", predicate: "paused" }, null, { by, why, until })];
    }
    case "resumed":
      return [tell({ subject: "environment", predicate: "resumed" }, null, { by: event.by, why: event.why })];
    default:
      return assertNever(event, "lane event");
  }
}

function firstLine(message: string): string {
  return (message.split("\n")[0] ?? "").slice(0, 200);
}
