import { ToroidError } from "./errors.ts";

/** A build is one number of one repository; people write it `acme/api#42`. */
export interface BuildId {
  readonly repository: string;
  readonly number: number;
}

/**
 * One run of one stage of a build. `round` is 1 for the stage that the push brought, and grows by one each time that
 * somebody asks for the same stage again (an environment requested twice, a retry by a person).
 */
export interface StageId extends BuildId {
  readonly stage: string;
  readonly round: number;
}

/** An environment of a repository; owner of a lane. */
export interface EnvironmentId {
  readonly repository: string;
  readonly environment: string;
}

/** In place of a name: all of them. Neither a repository nor an environment can be called so. */
export const EVERY = "*";

/** Is it no environment but all of a repository, all of one name, or all there are? It can be paused, and holds no stage. */
export function isWider({ repository, environment }: EnvironmentId): boolean {
  return repository === EVERY || environment === EVERY;
}

/** What an environment is part of, the narrowest first. */
export function widerThan({ repository, environment }: EnvironmentId): readonly EnvironmentId[] {
  return [
    { repository, environment: EVERY },
    { repository: EVERY, environment },
    { repository: EVERY, environment: EVERY },
  ];
}

/** The stage that reads `.toroid.yml`. No name that a person can write escapes to a token of this form. */
export const PLAN_STAGE = "_plan";

const PLAIN = /^[A-Za-z0-9-]$/;
const TOKEN = /^[A-Za-z0-9_-]+$/;
/** Most names are of nothing else, and each event has several. */
const PLAIN_PATH = /^[A-Za-z0-9/-]+$/;
const PLAIN_PATH_TOKEN = /^(?:[A-Za-z0-9-]|__)+$/;

/**
 * Turns any text into one subject token of `[A-Za-z0-9_-]`, reversibly: `/` becomes `__`, every other byte outside
 * `[A-Za-z0-9-]` becomes `_` and two upper-case hex digits of its UTF-8. `acme/api` reads `acme__api`.
 *
 * @throws {ToroidError} TOR_INVALID_INPUT for the empty text, which no token can stand for.
 */
export function escapeToken(text: string): string {
  if (text === "") throw new ToroidError("TOR_INVALID_INPUT", "a name in a subject may not be empty");
  if (PLAIN_PATH.test(text)) return text.replaceAll("/", "__");
  let token = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const character = String.fromCharCode(byte);
    if (PLAIN.test(character)) token += character;
    else if (character === "/") token += "__";
    else token += `_${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return token;
}

/**
 * The inverse of {@link escapeToken}.
 *
 * @throws {ToroidError} TOR_DECODE for a token that `escapeToken` cannot have made.
 */
export function unescapeToken(token: string): string {
  if (PLAIN_PATH_TOKEN.test(token)) return token.replaceAll("__", "/");
  const bytes: number[] = [];
  for (let at = 0; at < token.length; ) {
    const character = token.charAt(at);
    if (character !== "_") {
      bytes.push(character.charCodeAt(0));
      at += 1;
    } else if (token.charAt(at + 1) === "_") {
      bytes.push(0x2f);
      at += 2;
    } else {
      const hex = token.slice(at + 1, at + 3);
      if (!/^[0-9A-F]{2}$/.test(hex)) throw notAToken(token);
      bytes.push(Number.parseInt(hex, 16));
      at += 3;
    }
  }
  const text = Buffer.from(bytes).toString("utf8");
  if (!TOKEN.test(token) || escapeToken(text) !== token) throw notAToken(token);
  return text;
}

function notAToken(token: string): ToroidError {
  return new ToroidError("TOR_DECODE", `${JSON.stringify(token)} is not an escaped name`, { token });
}

/** `build` → `build`; `prod`, round 2 → `prod_r2` (`_r` is no escape, so it cannot clash with a name). */
export function stageToken(stage: string, round: number): string {
  const name = stage === PLAN_STAGE ? PLAN_STAGE : escapeToken(stage);
  return round === 1 ? name : `${name}_r${round}`;
}

/**
 * The inverse of {@link stageToken}.
 *
 * @throws {ToroidError} TOR_DECODE
 */
export function parseStageToken(token: string): { readonly stage: string; readonly round: number } {
  const match = /^(.*)_r([2-9]|[1-9][0-9]+)$/.exec(token);
  const name = match?.[1] ?? token;
  const round = match?.[2] === undefined ? 1 : Number(match[2]);
  return { stage: name === PLAN_STAGE ? PLAN_STAGE : unescapeToken(name), round };
}

/** `acme/api#42` */
export function formatBuild(id: BuildId): string {
  return `${id.repository}#${id.number}`;
}

/** `acme/api#42 prod`, and `acme/api#42 prod (2)` for a second round. */
export function formatStage(id: StageId): string {
  return `${formatBuild(id)} ${id.stage}${id.round === 1 ? "" : ` (${id.round})`}`;
}

/** Reads `acme/api#42`; null for anything else. */
export function parseBuild(text: string): BuildId | null {
  const match = /^([^#\s]+\/[^#\s]+)#([1-9][0-9]{0,14})$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) return null;
  return { repository: match[1], number: Number(match[2]) };
}

/** True for `owner/name` as forges allow it: two or more parts, no empty one, no control or space characters. */
export function isRepositoryName(text: string): boolean {
  return (
    text.length <= 200 &&
    /^[^\s/#\\]+(\/[^\s/#\\]+)+$/u.test(text) &&
    !text.split("/").some((part) => /^\.+$/.test(part))
  );
}
