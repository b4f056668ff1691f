/** GitHub's API, as who the operator says we are: with a token, or as an app where it is installed. */
import { createAppAuth } from "@octokit/auth-app";
import { request } from "@octokit/request";
import type { GithubSettings } from "../../settings.ts";
import { type Answer, TRY_MS } from "../../transitions.ts";
import { meaningOf, unanswered } from "../http.ts";

/** `request` of octokit, for one repository. */
export type Call = typeof request;

export interface Repository {
  readonly owner: string;
  readonly repo: string;
}

export interface Github {
  /** @throws what GitHub answers to who we say we are */
  open(repository: Repository, signal: AbortSignal): Promise<Call>;
  /** Does it know us? */
  greet(signal: AbortSignal): Promise<void>;
}

const API_VERSION = "2022-11-28";

export function makeGithub({ api, auth }: GithubSettings, userAgent: string): Github {
  const headers = { "user-agent": userAgent, "x-github-api-version": API_VERSION };
  // A redirect could carry our token elsewhere.
  const base = (signal: AbortSignal): Call =>
    request.defaults({ baseUrl: api, headers, request: { signal, redirect: "error" } });
  const bounded: typeof fetch = (input, init) =>
    fetch(input, { ...init, redirect: "error", signal: AbortSignal.timeout(TRY_MS) });
  const app =
    auth.kind === "app"
      ? createAppAuth({
          appId: auth.id,
          privateKey: auth.key,
          request: request.defaults({ baseUrl: api, headers, request: { fetch: bounded } }),
        })
      : null;
  /** Installations by owner and name, which do not change but by hand. */
  const installations = new Map<string, number>();

  const as = (call: Call, scheme: string, token: string): Call =>
    call.defaults({ headers: { authorization: `${scheme} ${token}` } });

  return {
    async open({ owner, repo }, signal) {
      const call = base(signal);
      if (auth.kind === "token" || app === null) return as(call, "token", auth.kind === "token" ? auth.token : "");
      const name = `${owner}/${repo}`;
      let installationId = auth.installation ?? installations.get(name);
      if (installationId === undefined) {
        const { token } = await app({ type: "app" });
        const found = await as(call, "bearer", token)("GET /repos/{owner}/{repo}/installation", { owner, repo });
        installationId = found.data.id;
        installations.set(name, installationId);
      }
      try {
        const { token } = await app({ type: "installation", installationId });
        return as(call, "token", token);
      } catch (error) {
        // It may have been installed anew.
        installations.delete(name);
        throw error;
      }
    },
    async greet(signal) {
      const call = base(signal);
      if (auth.kind === "token" || app === null) {
        await as(call, "token", auth.kind === "token" ? auth.token : "")("GET /rate_limit");
        return;
      }
      const { token } = await app({ type: "app" });
      await as(call, "bearer", token)("GET /app");
    },
  };
}

interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** What an error of octokit's means. `nowMs`: by this host's clock. */
export function failureOf(error: unknown, nowMs: number): Answer {
  const response = responseOf(error);
  if (response === null) return unanswered(error);
  const headers = new Headers(
    Object.entries(response.headers).flatMap(([name, value]) => (isHeader(value) ? [[name, String(value)]] : [])),
  );
  const text = error instanceof Error ? error.message : "";
  const meaning = meaningOf({ status: response.status, headers, text }, nowMs);
  if (meaning.kind !== "retry") return meaning;
  if (headers.get("x-ratelimit-remaining") === "0") {
    const afterMs = Number(headers.get("x-ratelimit-reset")) * 1_000 - nowMs;
    return { ...meaning, isDown: true, ...(afterMs > 0 ? { afterMs } : {}) };
  }
  // Neither who is not known nor who asks too often should go on asking about everything else.
  const isDown = meaning.isDown || response.status === 401 || meaning.afterMs !== undefined;
  return { ...meaning, isDown };
}

function isHeader(value: unknown): value is string | number {
  return typeof value === "string" || typeof value === "number";
}

function responseOf(error: unknown): Refusal | null {
  if (!(error instanceof Error) || !("response" in error)) return null;
  const { response } = error;
  if (typeof response !== "object" || response === null || !("status" in response) || !("headers" in response))
    return null;
  const { status, headers } = response;
  if (typeof status !== "number" || typeof headers !== "object" || headers === null) return null;
  return { status, headers: { ...headers } };
}
