/** What is counted as it happens, by whichever coordinator it happens at: their sum is the system's. */
import { Counter, Histogram, Registry } from "prom-client";
import type { BuildEvent, StageEvent } from "../../protocol/events.ts";
import type { Stage } from "../../protocol/stage.ts";
import type { Count } from "../intake/sqs.ts";

const WAIT_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1_800, 7_200];
const RUN_BUCKETS = [0.1, 1, 5, 15, 60, 300, 900, 3_600, 14_400];
const REQUEST_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

export interface Counts {
  readonly registry: Registry;
  ofStage(event: StageEvent, stage: Stage): void;
  ofBuild(event: BuildEvent): void;
  readonly ofMessage: (what: Count) => void;
  /** `route` as it is registered, so that there are as many as routes. */
  ofRequest(method: string, route: string, status: number, seconds: number): void;
}

export function makeCounts(): Counts {
  const registry = new Registry();
  const registers = [registry];
  const builds = new Counter({
    name: "toroid_builds_finished_total",
    help: "Builds that ended, by outcome.",
    labelNames: ["outcome"] as const,
    registers,
  });
  const stages = new Counter({
    name: "toroid_stages_finished_total",
    help: "Stages that ended, by outcome.",
    labelNames: ["outcome"] as const,
    registers,
  });
  const errored = new Counter({
    name: "toroid_attempts_errored_total",
    help: "Attempts that could not be run, by error code.",
    labelNames: ["code"] as const,
    registers,
  });
  const lost = new Counter({
    name: "toroid_attempts_taken_over_total",
    help: "Attempts whose executor was lost, so that another one took over.",
    registers,
  });
  const waits = new Histogram({
    name: "toroid_stage_wait_seconds",
    help: "From a stage being queued to an executor taking it.",
    buckets: WAIT_BUCKETS,
    registers,
  });
  const starts = new Histogram({
    name: "toroid_stage_start_seconds",
    help: "From an executor taking a stage to its script beginning.",
    buckets: WAIT_BUCKETS,
    registers,
  });
  const runs = new Histogram({
    name: "toroid_stage_run_seconds",
    help: "From a stage's script beginning to its end.",
    buckets: RUN_BUCKETS,
    registers,
  });
  const messages = new Counter({
    name: "toroid_intake_messages_total",
    help: "Messages from the queue, by what became of them.",
    labelNames: ["result"] as const,
    registers,
  });
  const requests = new Histogram({
    name: "toroid_http_request_seconds",
    help: "Requests to the HTTP API, by route and kind of status; streams until they begin.",
    labelNames: ["method", "route", "status"] as const,
    buckets: REQUEST_BUCKETS,
    registers,
  });
  return {
    registry,
    ofStage(event, stage) {
      switch (event.type) {
        case "claimed":
          if (event.tookOver === null) waits.observe(seconds(stage.queuedAtMs, event.atMs));
          else lost.inc();
          break;
        case "started":
          if (stage.claimedAtMs !== null) starts.observe(seconds(stage.claimedAtMs, event.atMs));
          break;
        case "attemptErrored":
          errored.inc({ code: event.code });
          break;
        case "finished":
          stages.inc({ outcome: event.result.outcome });
          if (stage.startedAtMs !== null) runs.observe(seconds(stage.startedAtMs, event.atMs));
          break;
        default:
      }
    },
    ofBuild(event) {
      if (event.type === "finished") builds.inc({ outcome: event.outcome });
    },
    ofMessage: (what) => messages.inc({ result: what }),
    ofRequest(method, route, status, took) {
      requests.observe({ method, route, status: `${Math.floor(status / 100)}xx` }, took);
    },
  };
}

function seconds(fromMs: number, toMs: number): number {
  return Math.max(0, toMs - fromMs) / 1_000;
}
