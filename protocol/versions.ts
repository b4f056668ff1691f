/**
 * Versions of what is stored and sent. Every event and command says in `v` the oldest version of the protocol whose
 * readers understand it; one that says nothing is of version 1, from before there was a `v`. A reader that is older
 * leaves the message to one that is not, so that versions may run beside each other during an upgrade.
 *
 * What changes the meaning of a message, or adds a type, raises {@link PROTOCOL_VERSION} and has a row in `SINCE`. A
 * field that old readers may as well not know does not.
 */

/** The newest version that this code understands. */
export const PROTOCOL_VERSION = 4;

/** Types of events that readers of version 1 would not know, or would misunderstand. */
const SINCE: Readonly<Record<string, number>> = {
  // A plan may say what has to be heeded before a stage goes.
  planned: 2,
  // It may ask for a promotion or a rollback.
  requested: 2,
  superseded: 2,
  retried: 2,
  replanned: 2,
  // All that is left of a build.
  archived: 3,
  // A stage may have to be ended for being silent, or an attempt be none of the stage but of its check.
  queued: 2,
  claimed: 2,
  // A lane's message carries the lane, in which there may be what has to be heeded, whatever the event: the last fence.
  entered: 3,
  withdrawn: 3,
  approved: 3,
  admitted: 3,
  left: 3,
  released: 3,
  paused: 3,
  resumed: 3,
};

/** What an executor has to understand of any command. */
export const COMMAND_VERSION = 2;
/** Images that have to be made: who does not know them takes what has one for damaged. */
const MADE_IMAGES = 3;
/** By a template that is not in the checkout: who does not know that looks for it there. */
const GENERATED = 4;
/** The same of images that come from elsewhere. */
const FETCHED_IMAGES = 4;

/** AMIs: who does not know them bakes none and calls it passed, or takes an artifact that is one for damaged. */
const AMIS = 4;

/** Secrets: who does not know of them runs without, and the script fails for no reason that anybody sees. */
const SECRETS = 4;

/** What an executor has to understand of this command. */
export function commandVersionOf(command: object): number {
  const work = valueAt(command, "work");
  const stage = valueAt(work, "stage");
  const amis = isBaked(stage) || artifactsIn(work).some(isAmi);
  return Math.max(COMMAND_VERSION, amis ? AMIS : 1, hasSecrets(stage) ? SECRETS : 1, imageVersionOf(stage));
}

/** A stage that wishes for executors: who does not know of that would send it to any. */
const WISHES = 3;

/** What a coordinator has to understand of an executor's reports. */
export const REPORT_VERSION = Math.max(
  ...["claimed", "started", "publishing", "attemptErrored", "planned", "finished"].map((type) => SINCE[type] ?? 1),
);

/**
 * What a reader has to understand for this event; its type says it, whosever log it is in.
 *
 * @param lane that its message carries, if it is a lane's
 */
export function versionOf(event: object, lane: object | null = null): number {
  if (!("type" in event)) return 1;
  const planned = event.type === "finished" ? valueAt(event, "result", "planned") : null;
  const stages = [
    ...listAt(event, "plan", "stages"),
    ...listAt(planned, "plan", "stages"),
    valueAt(event, "work", "stage"),
  ];
  // The end of a plan stage is the plan.
  const own = SINCE[planned === null ? String(event.type) : "planned"] ?? 1;
  const artifacts = [
    valueAt(event, "artifact"),
    valueAt(event, "result", "artifact"),
    valueAt(event, "previousArtifact"),
    ...artifactsIn(valueAt(event, "work")),
    ...[valueAt(event, "live"), valueAt(lane, "live"), ...listAt(lane, "before")].map((one) =>
      valueAt(one, "artifact"),
    ),
  ];
  const amis = stages.some(isBaked) || artifacts.some(isAmi);
  const [wishes, secret] = [stages.some(isWishing), stages.some(hasSecrets)];
  const most = Math.max(own, wishes ? WISHES : 1, amis ? AMIS : 1, secret ? SECRETS : 1);
  return Math.max(most, ...stages.map(imageVersionOf));
}

function hasSecrets(stage: unknown): boolean {
  return listAt(stage, "secrets").length > 0 || listAt(stage, "publishSecrets").length > 0;
}

function isBaked(stage: unknown): boolean {
  return valueAt(stage, "ami") !== null;
}

function isAmi(artifact: unknown): boolean {
  return valueAt(artifact, "kind") === "ami";
}

function artifactsIn(work: unknown): readonly unknown[] {
  return [valueAt(work, "context", "artifact"), valueAt(work, "context", "previousArtifact")];
}

function imageVersionOf(stage: unknown): number {
  const kinds = [valueAt(stage, "image", "kind"), valueAt(stage, "image", "base", "kind")];
  if (kinds.includes("oci") || kinds.includes("debian")) return FETCHED_IMAGES;
  if (!kinds.includes("packer")) return 1;
  return valueAt(stage, "image", "text") === null ? MADE_IMAGES : GENERATED;
}

function isWishing(stage: unknown): boolean {
  return valueAt(stage, "runsOn", "pool") !== null || listAt(stage, "runsOn", "labels").length > 0;
}

function valueAt(from: unknown, ...keys: readonly string[]): unknown {
  let value = from;
  for (const key of keys) {
    if (typeof value !== "object" || value === null) return null;
    value = Object.hasOwn(value, key) ? Reflect.get(value, key) : null;
  }
  return value ?? null;
}

function listAt(from: unknown, ...keys: readonly string[]): readonly unknown[] {
  const value = valueAt(from, ...keys);
  return Array.isArray(value) ? value : [];
}

/** The version that a message says it is of; whether it has the shape of one is for its schema to say. */
export function statedVersion(message: unknown): number {
  if (typeof message !== "object" || message === null || !("v" in message)) return 1;
  return typeof message.v === "number" ? message.v : 1;
}
