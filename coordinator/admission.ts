/**
 * Lets the next one of a lane go, unless something wider than the lane is paused, or its AMI is not there. A wider pause
 * has a log of its own, read here each time, so that whoever hears that it is paused can rely on it; what goes in the
 * same moment has gone.
 */

import { assertNever } from "../protocol/errors.ts";
import type { LaneEntry, Pause } from "../protocol/events.ts";
import { type EnvironmentId, isWider, widerThan } from "../protocol/ids.ts";
import type { AmiArtifact } from "../protocol/work.ts";
import { nextOf } from "./actors/environment/lane.ts";
import type { LaneCommand } from "./actors/environment.ts";
import type { Gate } from "./artifacts/gate.ts";
import type { Mailboxes } from "./mailboxes.ts";
import type { Lanes } from "./projections/lanes.ts";

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

/** What is asked of AMIs before they go, and who says to people that there was no answer. */
export interface Guard {
  readonly gate: Gate;
  readonly lanes: Pick<Lanes, "doubt">;
}

/** How often the lane may change meanwhile, before the next look. */
const RACES = 3;

/**
 * Safe to repeat, like everything that a lane is told. Where EC2 does not answer nothing happens, and whoever looks after
 * lanes comes again.
 *
 * @param guard null: nobody is asked for AMIs
 */
export async function admitNext(actors: Mailboxes, id: EnvironmentId, guard: Guard | null): Promise<void> {
  // Nothing ever waits there.
  if (isWider(id)) return;
  if ((await widerPauses(actors, id)).length > 0) return;
  if (guard === null) {
    await actors.environment.tell(id, { kind: "admit" });
    return;
  }
  let lane = actors.environment.known(id)?.state ?? null;
  for (let race = 1; race <= RACES; race += 1) {
    const next = (lane === null ? null : nextOf(lane)) ?? nextOf((await actors.environment.load(id)).state);
    if (next === null) return;
    const command = await commandFor(actors, id, next, guard);
    if (command === null || (await actors.environment.tell(id, command)).changed) return;
    // It was another one's turn by then.
    lane = null;
  }
}

/** Lets go whom it was looked for, and nobody else; null while that is not known. */
async function commandFor(
  actors: Mailboxes,
  id: EnvironmentId,
  { kind, entry }: NonNullable<ReturnType<typeof nextOf>>,
  { gate, lanes }: Guard,
): Promise<LaneCommand | null> {
  const artifact = kind === "admit" ? await amiOf(actors, id, entry) : null;
  if (artifact === null) return { kind: "admit", only: entry };
  const verdict = await gate.verify(artifact);
  const { number, stage, round } = entry;
  const place = { number, stage, round };
  lanes.doubt(id, place, verdict.kind === "unsure" ? verdict.why : null);
  switch (verdict.kind) {
    case "available":
      return { kind: "admit", only: entry };
    case "gone":
      return { kind: "withdraw", ...place, outcome: "errored", why: verdict.why };
    case "unsure":
      return null;
    default:
      return assertNever(verdict, "verdict");
  }
}

/** The AMI of a build that bakes one. Of all others its plan is enough to know, which never changes. */
async function amiOf(actors: Mailboxes, { repository }: EnvironmentId, entry: LaneEntry): Promise<AmiArtifact | null> {
  const build = { repository, number: entry.number };
  const plan = actors.build.known(build)?.state.plan;
  if (plan?.stages.every(({ ami }) => ami === null) === true) return null;
  const { artifact } = (await actors.build.load(build)).state;
  return artifact?.kind === "ami" ? artifact : null;
}
