/**
 * Lets the next one of a lane go, unless something wider than the lane is paused. A wider pause has a log of its own,
 * read here each time, so that whoever hears that it is paused can rely on it; what goes in the same moment has gone.
 */
import type { Pause } from "../protocol/events.ts";
import { type EnvironmentId, isWider, widerThan } from "../protocol/ids.ts";
import type { Mailboxes } from "./mailboxes.ts";

export interface WiderPause {
  readonly of: EnvironmentId;
  readonly pause: Pause;
}

/** Pauses that hold the environment besides its own, the narrowest first. */
export async function widerPauses(actors: Mailboxes, id: EnvironmentId): Promise<readonly WiderPause[]> {
  const wider = await Promise.all(
    widerThan(id).map(async (of) => ({ of, pause: (await actors.environment.load(of)).state.pause })),
  );
  return wider.flatMap(({ of, pause }) => (pause === null ? [] : [{ of, pause }]));
}

/** Safe to repeat, like everything that a lane is told. */
export async function admitNext(actors: Mailboxes, id: EnvironmentId): Promise<void> {
  // Nothing ever waits there.
  if (isWider(id)) return;
  if ((await widerPauses(actors, id)).length > 0) return;
  await actors.environment.tell(id, { kind: "admit" });
}
