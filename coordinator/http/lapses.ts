/** Answers that go on for long end when whoever they go to is let in no more: signed out, removed, expired. */
import type { ServerResponse } from "node:http";
import type { FastifyInstance } from "fastify";
import type { Principal } from "../access/principal.ts";
import type { Sessions } from "../access/sessions.ts";
import type { Tokens } from "../access/tokens.ts";

/** Timers know no longer time. */
const MOST_MS = 2 ** 31 - 1;

export function endLapsedStreams(
  app: FastifyInstance,
  { tokens, sessions }: { readonly tokens: Tokens; readonly sessions: Sessions },
  nowMs: () => number,
): void {
  const open = new Map<string, Set<ServerResponse>>();
  const lapse = (id: string): void => {
    for (const response of open.get(id) ?? []) response.destroy();
  };
  tokens.onChange(lapse);
  sessions.onChange(lapse);

  function keep(response: ServerResponse, { rests }: Principal): void {
    const undo: (() => void)[] = [];
    for (const { on, untilMs } of rests) {
      const those = open.get(on) ?? new Set();
      open.set(on, those.add(response));
      undo.push(() => {
        those.delete(response);
        if (those.size === 0) open.delete(on);
      });
      if (untilMs === null) continue;
      const timer = setTimeout(() => response.destroy(), Math.min(MOST_MS, Math.max(0, untilMs - nowMs())));
      undo.push(() => clearTimeout(timer));
    }
    response.once("close", () => {
      for (const one of undo) one();
    });
  }

  app.addHook("preHandler", (request, reply, done) => {
    const { principal, routeOptions } = request;
    if (routeOptions.config.streams === true && principal !== null && principal.rests.length > 0) {
      keep(reply.raw, principal);
    }
    done();
  });
}
