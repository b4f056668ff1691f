import { z } from "zod";
import { type BuildId, EVERY } from "../protocol/ids.ts";
import { EXIT, exitOfStatus, Failure, usageError } from "./exit.ts";

/** How long a coordinator may take to answer. */
const ANSWER_MS = 30_000;

const apiError = z.looseObject({ code: z.string(), message: z.string() });

/** The coordinator's HTTP API, for the commands. Every answer is checked against its schema. */
export interface Api {
  readonly url: string;
  /** @param patienceMs how long it may take; half a minute unless said */
  get<T>(path: string, schema: z.ZodType<T>, patienceMs?: number): Promise<T>;
  post<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T>;
  delete(path: string): Promise<void>;
  /** The body of a GET as it comes; `signal` ends it at any time, `heard` is told of the headers before it. */
  stream(
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    heard?: (headers: Headers) => void,
  ): Promise<AsyncIterable<Uint8Array>>;
}

/**
 * @param who acts, for the record; null says nothing of it
 * @param token proves it, where the coordinator wants to know
 * @throws {Failure} when `url` is none; every call throws one for an answer that says no, and for none.
 */
export function openApi(url: string, who: string | null, token: string | null): Api {
  const base = baseOf(url);
  const access = token === null ? {} : { authorization: `Bearer ${token}` };
  // Of a header's characters, each of which is a byte to the other side.
  const name = who === null ? {} : { "toroid-user": Buffer.from(who, "utf8").toString("latin1") };
  const call = async (path: string, init: RequestInit): Promise<Response> => {
    const response = await fetch(new URL(path, base), init).catch((cause: unknown) => {
      if (init.signal?.reason instanceof Failure) throw init.signal.reason;
      throw unreachable(base, cause);
    });
    if (!response.ok) throw await refusal(response, base);
    return response;
  };
  return {
    url: base.href,
    async get(path, schema, patienceMs = ANSWER_MS) {
      const response = await call(path, {
        headers: { accept: "application/json", ...access },
        signal: AbortSignal.timeout(patienceMs),
      });
      return decode(response, schema, base);
    },
    async post(path, body, schema) {
      const headers = { accept: "application/json", "content-type": "application/json", ...access, ...name };
      const response = await call(path, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      return decode(response, schema, base);
    },
    async delete(path) {
      const headers = { ...access, ...name };
      await call(path, { method: "DELETE", headers, signal: AbortSignal.timeout(ANSWER_MS) });
    },
    async stream(path, headers, signal, heard) {
      const { body, headers: answered } = await call(path, { headers: { ...headers, ...access }, signal });
      heard?.(answered);
      return body ?? (async function* () {})();
    },
  };
}

/** `/api/v1/builds/acme/api/42` */
export function buildPath({ repository, number }: BuildId): string {
  return `api/v1/builds/${repositoryPath(repository)}/${number}`;
}

/** `/api/v1/environments/acme/api/prod` */
export function environmentPath(repository: string, environment: string): string {
  return `api/v1/environments/${repositoryPath(repository)}/${encodeURIComponent(environment)}`;
}

function repositoryPath(repository: string): string {
  if (repository === EVERY) return `${EVERY}/${EVERY}`;
  return repository.split("/").map(encodeURIComponent).join("/");
}

function baseOf(url: string): URL {
  const base = URL.parse(url.endsWith("/") ? url : `${url}/`);
  if (base === null || !["http:", "https:"].includes(base.protocol)) {
    throw usageError(`${JSON.stringify(url)} is not the URL of a coordinator: expected http://host:port`);
  }
  return base;
}

async function decode<T>(response: Response, schema: z.ZodType<T>, base: URL): Promise<T> {
  const parsed = schema.safeParse(await response.json().catch(() => undefined));
  if (parsed.success) return parsed.data;
  const message = `what answers at ${base.origin} is not a coordinator that this version of toroid understands`;
  throw new Failure(EXIT.server, "TOR_DECODE", message, { cause: parsed.error });
}

async function refusal(response: Response, base: URL): Promise<Failure> {
  const parsed = apiError.safeParse(await response.json().catch(() => undefined));
  const exit = exitOfStatus(response.status);
  if (parsed.success) return new Failure(exit, parsed.data.code, parsed.data.message);
  return new Failure(exit, "TOR_DECODE", `what answers at ${base.origin} says ${response.status} and nothing more`);
}

function unreachable(base: URL, cause: unknown): Failure {
  const message = `no coordinator answers at ${base.origin} (${reasonOf(cause)}); start one, or name another with --server`;
  return new Failure(EXIT.server, "TOR_SERVER_UNREACHABLE", message, { cause });
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error && "code" in cause && typeof cause.code === "string") return cause.code;
  return cause instanceof Error ? cause.message : String(cause);
}
