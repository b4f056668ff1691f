/** What must hold in every state of the model's world, and in every state in which nothing goes on by itself. */
import type { LaneLog, Log } from "./logs.ts";
import type { World } from "./world.ts";

/** What is wrong in `world`, or null. */
export function wrongIn({ logs }: World): string | null {
  for (const log of logs) {
    if (log.wrong !== null) return `${log.subject}: ${log.wrong}`;
  }
  for (const lane of logs) {
    if (lane.kind !== "lane") continue;
    const flying = logs.filter((one) => isUnderWay(one, lane));
    if (flying.length > 1)
      return `${lane.subject}: ${flying.map(({ subject }) => subject).join(" and ")} are in flight`;
  }
  return null;
}

/** Is it a stage of the lane that was let go, and has not ended? */
function isUnderWay(log: Log, lane: LaneLog): boolean {
  if (log.kind !== "stage" || log.state.work?.kind !== "stage") return false;
  return log.state.work.stage.environment === lane.id.environment && log.state.status !== "finished";
}

/** What is wrong when nothing will happen any more by itself, or null. */
export function unfinishedIn(world: World): string | null {
  const { logs, deliveries, reactions, messages, executors } = world;
  if (deliveries.length + reactions.length + messages.length > 0) return "something waits that nobody takes";
  if (executors.some((one) => one.holds !== null)) return "an executor does not go on";
  for (const log of logs) {
    const why = unfinished(log, logs);
    if (why !== null) return `${log.subject}: ${why}`;
  }
  return null;
}

function unfinished(log: Log, logs: readonly Log[]): string | null {
  switch (log.kind) {
    case "stage":
      return log.ends === 1 ? null : `nothing goes on, and the stage is ${log.state.status}`;
    case "lane": {
      const { inFlight, waiting, pause, hold } = log.state;
      if (inFlight !== null) return `nothing goes on, and #${inFlight.number} is in flight`;
      const isExplained = (pause !== null && pause.why !== "") || (hold !== null && hold.why !== "");
      return waiting.length === 0 || isExplained ? null : "it lets nobody go, and does not say why";
    }
    case "build": {
      if (log.state.status === "finished") return null;
      const waits = logs.some(
        (one) => one.kind === "lane" && one.state.waiting.some(({ number }) => number === log.id.number),
      );
      return waits ? null : "the build does not end, and waits for nobody";
    }
  }
}
