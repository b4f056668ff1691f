import { environmentActor, type LaneCommand } from "../../../../coordinator/actors/environment.ts";
import { Lived } from "../samples.ts";

/** A lane that was told `commands`, one after the other. */
export function laneOf(...commands: readonly LaneCommand[]) {
  const lane = new Lived(environmentActor);
  for (const command of commands) lane.tell(command);
  return lane;
}

export type TestLane = ReturnType<typeof laneOf>;

/** Numbers of the builds that wait, in their order. */
export const waiting = (lane: TestLane): readonly number[] => lane.state.waiting.map(({ number }) => number);
