import type { Jet } from "../kit/jetstream.ts";
import type { Logger } from "../kit/log.ts";
import type { BuildEvent, LaneEvent, PushEvent, StageEvent } from "../protocol/events.ts";
import type { BuildId, EnvironmentId, StageId } from "../protocol/ids.ts";
import type { LetterEvent } from "../protocol/letter.ts";
import type { Stage } from "../protocol/stage.ts";
import type { Build } from "./actors/build/state.ts";
import { type BuildCommand, buildActor } from "./actors/build.ts";
import type { Lane } from "./actors/environment/lane.ts";
import { environmentActor, type LaneCommand } from "./actors/environment.ts";
import { type Letter, type LetterCommand, letterActor } from "./actors/letter.ts";
import { type Accept, type Repository, repositoryActor } from "./actors/repository.ts";
import { type StageCommand, stageActor } from "./actors/stage.ts";
import { type Mailbox, makeMailbox } from "./mailbox.ts";

/** One mailbox per noun. */
export interface Mailboxes {
  readonly repository: Mailbox<string, Repository, PushEvent, Accept>;
  readonly build: Mailbox<BuildId, Build, BuildEvent, BuildCommand>;
  readonly stage: Mailbox<StageId, Stage, StageEvent, StageCommand>;
  readonly environment: Mailbox<EnvironmentId, Lane, LaneEvent, LaneCommand>;
  readonly letter: Mailbox<string, Letter | null, LetterEvent, LetterCommand>;
}

export function makeMailboxes(jet: Jet, log: Logger): Mailboxes {
  return {
    repository: makeMailbox(jet, repositoryActor, log),
    build: makeMailbox(jet, buildActor, log),
    stage: makeMailbox(jet, stageActor, log),
    environment: makeMailbox(jet, environmentActor, log),
    letter: makeMailbox(jet, letterActor, log),
  };
}
