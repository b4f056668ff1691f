import { ToroidError } from "./errors.ts";
import {
  type BuildId,
  type EnvironmentId,
  escapeToken,
  parseStageToken,
  type StageId,
  stageToken,
  unescapeToken,
} from "./ids.ts";
import type { Priority, RunsOn } from "./pipeline/plan.ts";

/** Token of a build's own log beside its stages'; not an escape of any name. */
const BUILD_TOKEN = "_build";

/** `toroid.push.<repo>`: everything a repository accepted, in order. */
export function pushSubject(repository: string): string {
  return `toroid.push.${escapeToken(repository)}`;
}

/** `toroid.run.<repo>.<build>._build` */
export function buildRunSubject(id: BuildId): string {
  return `toroid.run.${escapeToken(id.repository)}.${id.number}.${BUILD_TOKEN}`;
}

/** `toroid.run.<repo>.<build>.<stage>` */
export function stageRunSubject(id: StageId): string {
  return `toroid.run.${escapeToken(id.repository)}.${id.number}.${stageToken(id.stage, id.round)}`;
}

/** `toroid.lane.<repo>.<env>` */
export function laneSubject(id: EnvironmentId): string {
  return `toroid.lane.${escapeToken(id.repository)}.${escapeToken(id.environment)}`;
}

/** `toroid.build.<repo>.<n>` */
export function summarySubject(id: BuildId): string {
  return `toroid.build.${escapeToken(id.repository)}.${id.number}`;
}

/** `toroid.timer.<repo>.<build>.<stage>` */
export function timerSubject(id: StageId): string {
  return `toroid.timer.${escapeToken(id.repository)}.${id.number}.${stageToken(id.stage, id.round)}`;
}

/** `toroid.letter.<id>` */
export function letterSubject(id: string): string {
  return `toroid.letter.${escapeToken(id)}`;
}

/** `toroid.log.<repo>.<build>.<stage>.<attempt>` */
export function logSubject(id: StageId, attempt: number): string {
  return `toroid.log.${escapeToken(id.repository)}.${id.number}.${stageToken(id.stage, id.round)}.${attempt}`;
}

/** Kinds of command, each with a queue of its own so that planning never waits behind long builds. */
export type CommandQueue = "plan" | "work";

/** `toroid.cmd.<pool>.<queue>.<repo>` */
export function commandSubject(pool: string, queue: CommandQueue, repository: string): string {
  return `toroid.cmd.${escapeToken(pool)}.${queue}.${escapeToken(repository)}`;
}

/** What an executor's consumer of one pool listens to. */
export function commandFilter(pool: string, queue: CommandQueue): string {
  return `toroid.cmd.${escapeToken(pool)}.${queue}.>`;
}

/** Token of what names no pool, or no label; not an escape of any name. */
const ANY_TOKEN = "_any";

/**
 * `toroid.wait.<queue>.<priority>.<pool>.<labels>.<repo>`: commands that are held back. All of one subject can go to the
 * same executors, and go in the order in which they came.
 */
export function waitSubject(queue: CommandQueue, priority: Priority, wish: RunsOn, repository: string): string {
  const pool = wish.pool === null ? ANY_TOKEN : escapeToken(wish.pool);
  const labels = wish.labels.length === 0 ? ANY_TOKEN : escapeToken(wish.labels.join(" "));
  return `toroid.wait.${queue}.${priority}.${pool}.${labels}.${escapeToken(repository)}`;
}

/** Core NATS, not stored: tells executors at once that an attempt is to end. They also look at each heartbeat. */
export const CANCEL_SIGNAL = "toroid.signal.cancel";

/** `toroid.events.<repo>.<build>.<env>.<subject>.<predicate>`; `-` where there is no build or environment. */
export function eventSubject(
  repository: string,
  build: number | null,
  environment: string | null,
  subject: string,
  predicate: string,
): string {
  const environmentToken = environment === null ? "-" : escapeToken(environment);
  return `toroid.events.${escapeToken(repository)}.${build ?? "-"}.${environmentToken}.${subject}.${predicate}`;
}

/** `toroid.audit.done`, `toroid.audit.refused` */
export function auditSubject(done: boolean): string {
  return `toroid.audit.${done ? "done" : "refused"}`;
}

/** `toroid.notify.<target>.<lane>.<place>`: what one target is to be told. `place` of `*`: all of a lane. */
export function deliverySubject(id: string): string {
  return `toroid.notify.${id}`;
}

/** `toroid.told.<repo>.<ref|environment>.<name>`: how it stood when it was last looked at. */
export function toldSubject(repository: string, what: "ref" | "environment", name: string): string {
  return `toroid.told.${escapeToken(repository)}.${what}.${escapeToken(name)}`;
}

export type RunSubject =
  | { readonly kind: "build"; readonly id: BuildId }
  | { readonly kind: "stage"; readonly id: StageId };

/**
 * Reads a subject of TOROID_RUN.
 *
 * @throws {ToroidError} TOR_DECODE
 */
export function parseRunSubject(subject: string): RunSubject {
  const [root, stream, repo, number, stage, ...rest] = subject.split(".");
  if (root !== "toroid" || stream !== "run" || repo === undefined || stage === undefined || rest.length > 0) {
    throw unknownSubject(subject);
  }
  const build = { repository: unescapeToken(repo), number: parseNumber(number, subject) };
  if (stage === BUILD_TOKEN) return { kind: "build", id: build };
  return { kind: "stage", id: { ...build, ...parseStageToken(stage) } };
}

/**
 * Reads a subject of TOROID_LANE.
 *
 * @throws {ToroidError} TOR_DECODE
 */
export function parseLaneSubject(subject: string): EnvironmentId {
  const [root, stream, repo, environment, ...rest] = subject.split(".");
  if (root !== "toroid" || stream !== "lane" || repo === undefined || environment === undefined || rest.length > 0) {
    throw unknownSubject(subject);
  }
  return { repository: unescapeToken(repo), environment: unescapeToken(environment) };
}

/**
 * Reads a subject of TOROID_BUILD.
 *
 * @throws {ToroidError} TOR_DECODE
 */
export function parseSummarySubject(subject: string): BuildId {
  const [root, stream, repo, number, ...rest] = subject.split(".");
  if (root !== "toroid" || stream !== "build" || repo === undefined || rest.length > 0) throw unknownSubject(subject);
  return { repository: unescapeToken(repo), number: parseNumber(number, subject) };
}

/**
 * Reads a subject of TOROID_PUSH: the repository's name.
 *
 * @throws {ToroidError} TOR_DECODE
 */
export function parsePushSubject(subject: string): string {
  const [root, stream, repo, ...rest] = subject.split(".");
  if (root !== "toroid" || stream !== "push" || repo === undefined || rest.length > 0) throw unknownSubject(subject);
  return unescapeToken(repo);
}

/**
 * Reads a subject of TOROID_LETTER: the letter's id.
 *
 * @throws {ToroidError} TOR_DECODE
 */
export function parseLetterSubject(subject: string): string {
  const [root, stream, id, ...rest] = subject.split(".");
  if (root !== "toroid" || stream !== "letter" || id === undefined || rest.length > 0) throw unknownSubject(subject);
  return unescapeToken(id);
}

function parseNumber(token: string | undefined, subject: string): number {
  if (token === undefined || !/^[1-9][0-9]{0,14}$/.test(token)) throw unknownSubject(subject);
  return Number(token);
}

function unknownSubject(subject: string): ToroidError {
  return new ToroidError("TOR_DECODE", `${subject} is not a subject of ours`, { subject });
}
