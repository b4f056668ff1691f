/**
 * Versions of what is stored and sent. Every event and command says in `v` the oldest version of the protocol whose
 * readers understand it; one that says nothing is of version 1, from before there was a `v`. A reader that is older
 * leaves the message to one that is not, so that versions may run beside each other during an upgrade.
 *
 * What changes the meaning of a message, or adds a type, raises {@link PROTOCOL_VERSION} and has a row in `SINCE`. A
 * field that old readers may as well not know does not.
 */

/** The newest version that this code understands. */
export const PROTOCOL_VERSION = 1;

/** Types of events that readers of version 1 would not know, or would misunderstand. */
const SINCE: Readonly<Record<string, number>> = {};

/** What an executor has to understand of a command. */
export const COMMAND_VERSION = 1;

/** What a reader has to understand for this event; its type says it, whosever log it is in. */
export function versionOf(event: object): number {
  return ("type" in event ? SINCE[String(event.type)] : undefined) ?? 1;
}

/** The version that a message says it is of; whether it has the shape of one is for its schema to say. */
export function statedVersion(message: unknown): number {
  if (typeof message !== "object" || message === null || !("v" in message)) return 1;
  return typeof message.v === "number" ? message.v : 1;
}
