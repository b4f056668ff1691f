/**
 * Secrets that an operator keeps on this host for repositories, one file each:
 *
 *   <dir>/<owner>/<name>/<SECRET>                 of every stage of the repository that asks for it
 *   <dir>/<owner>/<name>/<environment>/<SECRET>   of that environment alone, and before the other
 *
 * Read anew for each attempt, so that one that was changed counts at once.
 */
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { sentenceOf, ToroidError } from "../protocol/errors.ts";
import type { QueueRequest } from "../protocol/events.ts";
import { isRepositoryName } from "../protocol/ids.ts";
import { addressOf } from "./checkout/remote.ts";
import type { GitConfig } from "./config.ts";
import type { StageWork } from "./workspace/variables.ts";

export interface SecretsConfig {
  /** null: there are none. */
  readonly dir: string | null;
  /** What the address of a repository has before its `owner/name`, where that name can be believed. */
  readonly from: readonly string[];
}

export type SecretValues = Readonly<Record<string, string>>;

/** What an attempt gets. */
export interface Granted {
  /** For all phases. */
  readonly stage: SecretValues;
  /** For `publish` besides. */
  readonly publish: SecretValues;
}

export const NOTHING_GRANTED: Granted = { stage: {}, publish: {} };

export const SECRET_MOST_BYTES = 64 * 1024;
/** Shorter ones cannot be told from other output. */
const SECRET_LEAST = 4;

export class Secrets {
  readonly #dir: string | null;
  readonly #from: readonly string[];
  readonly #git: Pick<GitConfig, "remote" | "allowLocal">;

  /** @param git says which of a repository's addresses is fetched from */
  constructor({ dir, from }: SecretsConfig, git: Pick<GitConfig, "remote" | "allowLocal">) {
    this.#dir = dir;
    this.#from = from;
    this.#git = git;
  }

  /**
   * What a stage of `repository` asks for, if it may have it.
   *
   * @throws {ToroidError} TOR_SECRET_MISSING, TOR_SECRET_REFUSED
   */
  async grant(repository: string, { stage, source, remote }: StageWork, publish: boolean): Promise<Granted> {
    const names = { stage: stage.secrets, publish: publish ? stage.publishSecrets : [] };
    const [first] = [...names.stage, ...names.publish];
    if (first === undefined) return NOTHING_GRANTED;
    const refusal = this.#whyRefused(repository, source.ref, addressOf(remote, this.#git).url);
    if (refusal !== null) throw new ToroidError("TOR_SECRET_REFUSED", `no secret is given here: ${refusal}`);
    if (this.#dir === null) {
      const why = "this executor has no secrets: TOROID_SECRETS is not set";
      throw missing(first, why);
    }
    const place = join(this.#dir, ...repository.split("/"));
    const places = stage.environment === null ? [place] : [join(place, stage.environment), place];
    const read = async (wanted: readonly string[]): Promise<SecretValues> =>
      Object.fromEntries(await Promise.all(wanted.map(async (name) => [name, await secretAt(places, name)] as const)));
    return { stage: await read(names.stage), publish: await read(names.publish) };
  }

  /** null: it is not. */
  #whyRefused(repository: string, ref: string, address: string): string | null {
    if (!/^refs\/(heads|tags)\/./.test(ref)) return `${ref} is neither a branch nor a tag`;
    if (!isRepositoryName(repository)) return "the repository has a strange name";
    const names = this.#from.map((prefix) => `${prefix}${repository}`);
    if (names.some((name) => [name, `${name}/`, `${name}.git`].includes(address))) return null;
    return `${repository} is fetched from ${address}, and secrets are for what comes from ${names.join(" or ")} (TOROID_SECRETS_FROM)`;
  }
}

/** Everything of it, for the log to leave out. */
export function valuesOf(...granted: readonly SecretValues[]): readonly string[] {
  return granted.flatMap((values) => Object.values(values));
}

/** A sentence when a secret is in what everybody will be able to read; null when none is. */
export function whatLeaks(
  secrets: readonly SecretValues[],
  outputs: Readonly<Record<string, string>>,
  requests: readonly QueueRequest[],
): string | null {
  const all = secrets.flatMap((values) => Object.entries(values));
  const told: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ["TOROID_OUTPUT", outputs],
    ...requests.map(({ params }) => ["TOROID_QUEUE", params] as const),
  ];
  for (const [file, values] of told) {
    for (const [key, value] of Object.entries(values)) {
      const leak = all.find(([, secret]) => value.includes(secret));
      if (leak !== undefined) return `${file}: ${key} has the secret ${leak[0]} in it, and would be shown to everybody`;
    }
  }
  return null;
}

async function secretAt(places: readonly string[], name: string): Promise<string> {
  for (const place of places) {
    const path = join(place, name);
    const file = await openIfThere(path, name);
    if (file === null) continue;
    try {
      return await valueOf(file, path);
    } finally {
      await file.close();
    }
  }
  throw missing(name, `there is no ${places.map((place) => join(place, name)).join(" and no ")} on this executor`);
}

async function openIfThere(path: string, name: string): Promise<FileHandle | null> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw missing(name, `${path} cannot be read: ${sentenceOf(error)}`);
  }
}

async function valueOf(file: FileHandle, path: string): Promise<string> {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const found = await file.stat();
  if (!found.isFile()) throw missing(name, `${path} is not a file`);
  if ((found.mode & 0o007) !== 0) throw missing(name, `every user of the host can get at ${path}: chmod o= ${path}`);
  if (found.size > SECRET_MOST_BYTES) throw missing(name, `${path} has more than ${SECRET_MOST_BYTES} bytes`);
  const value = (await file.readFile("utf8")).replace(/\r?\n$/, "");
  if (value.includes("\0")) throw missing(name, `${path} has a NUL in it, which no variable can hold`);
  if (value.length < SECRET_LEAST)
    throw missing(name, `${path} has less than ${SECRET_LEAST} characters, which no log can be kept free of`);
  return value;
}

function missing(name: string, why: string): ToroidError {
  return new ToroidError("TOR_SECRET_MISSING", `the stage asks for the secret ${name}: ${why}`, { secret: name });
}
