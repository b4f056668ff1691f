/** Records what arrived, whichever way it came: a queue, the API. */

import { crashPoint } from "../kit/crash-points.ts";
import { ToroidError } from "../protocol/errors.ts";
import type { BuildId } from "../protocol/ids.ts";
import type { Push, Remote } from "../protocol/work.ts";
import type { Arrival, IntakeRequest } from "./intake/message.ts";
import type { Mailboxes } from "./mailboxes.ts";

export interface Accepted extends BuildId {
  /** False when this very push had been accepted before. */
  readonly fresh: boolean;
}

/**
 * Resolves once the arrival is stored for good.
 *
 * @throws {ToroidError} TOR_NOT_FOUND for a request about what does not exist, TOR_CONFLICT for one that cannot be met now.
 */
export async function accept(actors: Mailboxes, arrival: Arrival, by: string): Promise<Accepted> {
  const accepted =
    arrival.kind === "push"
      ? await acceptPush(actors, arrival.key, arrival.push, by)
      : await acceptRequest(actors, arrival.key, arrival.request, by);
  crashPoint("coordinator-after-accepted");
  return accepted;
}

async function acceptPush(actors: Mailboxes, key: string, push: Push, by: string): Promise<Accepted> {
  const { repository } = push;
  const { state, changed } = await actors.repository.tell(repository, { kind: "accept", key, push, by });
  const number = state.accepted.get(key)?.number;
  if (number === undefined) throw new ToroidError("TOR_INTERNAL", `${repository} accepted a push without a number`);
  return { repository, number, fresh: changed };
}

async function acceptRequest(actors: Mailboxes, key: string, request: IntakeRequest, by: string): Promise<Accepted> {
  const { repository, params } = request;
  if (request.what === "environment") {
    const { number, environment } = request;
    const id = { repository, number };
    const { changed } = await actors.build.tell(id, {
      kind: "request",
      key,
      environment,
      params,
      by,
      byScript: false,
    });
    return { ...id, fresh: changed };
  }
  const known = (await actors.repository.load(repository)).state;
  const remote: Remote | null = request.remote ?? known.remote;
  if (remote === null) {
    throw new ToroidError(
      "TOR_NOT_FOUND",
      `nothing was ever pushed from ${repository}, so it is not known where it is: push to it, or name its remote`,
      { repository },
    );
  }
  const push: Push = {
    repository,
    repositoryId: null,
    remote,
    ref: request.ref,
    before: null,
    commit: null,
    created: false,
    forced: false,
    defaultBranch: known.defaultBranch,
    message: "",
    author: "",
    deliveryId: null,
    people: [],
    params,
  };
  return acceptPush(actors, key, push, by);
}
