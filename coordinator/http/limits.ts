/** How often somebody may ask. Counted by each coordinator for itself: it is there to bound work, not to bill it. */
import fastifyRateLimit from "@fastify/rate-limit";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { ToroidError } from "../../protocol/errors.ts";
import type { HttpConfig } from "../config.ts";

const MINUTE_MS = 60_000;
/** Whoever is wrong so often in a minute from one address waits for the next one. */
const FAILURES = 30;
/** Refusals of strangers that are recorded, of one address in a minute. */
const STRANGERS_RECORDED = 60;
const SIGN_INS = 20;
/** Addresses that wait, before those whose time is over are dropped. */
const MANY = 10_000;

/** For routes by which one signs in. */
export const signInLimit = { max: SIGN_INS, timeWindow: MINUTE_MS, keyGenerator: ({ ip }: FastifyRequest) => ip };

export interface Limits {
  /** @throws {ToroidError} TOR_RATE_LIMITED for whoever was wrong too often */
  refuseFailing(request: FastifyRequest): void;
  /** Counts a credential that was wrong. */
  failed(request: FastifyRequest): Promise<void>;
  /** Is there still room for what a stranger was refused? */
  isRecorded(request: FastifyRequest): Promise<boolean>;
}

/** With sign-in, everybody has their share; without, there is nobody to tell from others. */
export async function limitRates(app: FastifyInstance, config: HttpConfig): Promise<Limits> {
  const { auth, requestsPerMinute } = config;
  await app.register(fastifyRateLimit, {
    global: auth !== "none" && requestsPerMinute > 0,
    max: requestsPerMinute,
    timeWindow: MINUTE_MS,
    keyGenerator: keyOf,
    allowList: (request) => request.url === "/healthz" || request.url === "/readyz",
    errorResponseBuilder: (_request, { ttl }) => tooOften(ttl),
  });
  const byAddress = { timeWindow: MINUTE_MS, keyGenerator: ({ ip }: FastifyRequest) => ip, allowList: [] };
  const failures = app.createRateLimit({ ...byAddress, max: FAILURES });
  const records = app.createRateLimit({ ...byAddress, max: STRANGERS_RECORDED });
  const waiting = new Map<string, number>();

  return {
    refuseFailing({ ip }) {
      const untilMs = waiting.size === 0 ? undefined : waiting.get(ip);
      if (untilMs !== undefined && untilMs > Date.now()) throw tooOften(untilMs - Date.now());
    },
    async failed(request) {
      const count = await failures(request);
      if (count.isAllowed || !count.isExceeded) return;
      if (waiting.size >= MANY) dropOver(waiting);
      waiting.set(request.ip, Date.now() + count.ttl);
    },
    async isRecorded(request) {
      const count = await records(request);
      return count.isAllowed || !count.isExceeded;
    },
  };
}

function keyOf({ principal, ip }: FastifyRequest): string {
  const rest = principal?.rests[0];
  return rest === undefined ? ip : rest.on;
}

function dropOver(waiting: Map<string, number>): void {
  for (const [ip, untilMs] of waiting) if (untilMs <= Date.now()) waiting.delete(ip);
  if (waiting.size >= MANY) waiting.clear();
}

function tooOften(ms: number): ToroidError {
  const seconds = Math.max(1, Math.ceil(ms / 1_000));
  return new ToroidError("TOR_RATE_LIMITED", `too many requests: try again in ${seconds} s`, { retryAfter: seconds });
}
