import { setTimeout as delay } from "node:timers/promises";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { type LetterState, type LetterSummary, letterList, letterState, letterSummary } from "../../protocol/letter.ts";
import type { Principal } from "../access/principal.ts";
import type { Letter, LetterCommand } from "../actors/letter.ts";
import { summaryOf, wholeOf } from "../projections/letters.ts";
import { optionalBody } from "./builds.ts";
import { notFound } from "./errors.ts";
import type { HttpParts } from "./ports.ts";
import { readableTo, userOf } from "./user.ts";

const MAX_PAGE = 100;
/** How long an answer waits for what a replay comes to. */
const REPLAY_MS = 10_000;
const LOOK_MS = 20;

const letterParams = z.object({ id: z.string().regex(/^[0-9a-f]{16}$/, "is no id of a dead letter") });
const STATES: Readonly<Record<string, ReadonlySet<LetterState>>> = {
  waiting: new Set(["open", "replaying"]),
  all: new Set(letterState.options),
};

/** Whose affair a letter is; null: it is not known whose, so that only those see it who may read everything. */
export function repositoryOf({ kind, build }: LetterSummary): string | null {
  return kind === "stage" ? (build?.repository ?? null) : null;
}

function isFor(letter: LetterSummary, principal: Principal | null): boolean {
  const readable = readableTo(principal);
  const repository = repositoryOf(letter);
  return readable === null || (repository !== null && readable(repository));
}

/** What intake refused and what no executor could take: seen, replayed, discarded. */
export function letterRoutes(plain: FastifyInstance, { actors, letters, stop }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();

  async function found(id: string): Promise<Letter> {
    const { state } = await actors.letter.load(id);
    if (state === null) throw notFound(`dead letter ${id}`);
    return state;
  }

  async function tell(id: string, command: LetterCommand): Promise<Letter> {
    await found(id);
    const { state } = await actors.letter.tell(id, command);
    return state ?? found(id);
  }

  app.get(
    "/api/v1/dead-letters",
    {
      config: { needs: "read" },
      schema: {
        querystring: z.object({
          /** `waiting`: for somebody to look at them, or for the end of their replay. */
          state: z.enum(["waiting", "all", ...letterState.options]).default("waiting"),
          limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(30),
          before: z.string().min(1).max(100).optional(),
        }),
        response: { 200: letterList },
      },
    },
    ({ query: { state, limit, before = null }, principal }) => {
      const one = letterState.safeParse(state);
      const states = one.success ? new Set([one.data]) : (STATES[state] ?? new Set());
      const page = letters.page((letter) => states.has(letter.state) && isFor(letter, principal), before, limit);
      return { letters: [...page.letters], next: page.next };
    },
  );

  app.get(
    "/api/v1/dead-letters/:id",
    { config: { needs: "read" }, schema: { params: letterParams, response: { 200: letterSummary } } },
    async ({ params, principal }) => {
      const letter = await found(params.id);
      if (!isFor(summaryOf(letter), principal)) throw notFound(`dead letter ${params.id}`);
      return wholeOf(letter);
    },
  );

  app.post(
    "/api/v1/dead-letters/:id/replay",
    {
      config: { needs: "operate", action: "replay" },
      schema: {
        params: letterParams,
        body: optionalBody(z.object({ reason: z.string().max(500).default("") })),
        response: { 200: letterSummary, 202: letterSummary },
      },
    },
    async ({ params: { id }, body, principal }, reply) => {
      let letter = await tell(id, { kind: "replay", by: userOf(principal), why: body.reason });
      const late = performance.now() + REPLAY_MS;
      while (letter.state === "replaying" && performance.now() < late && !stop.aborted) {
        await delay(LOOK_MS);
        letter = await found(id);
      }
      return reply.status(letter.state === "replaying" ? 202 : 200).send(summaryOf(letter));
    },
  );

  app.post(
    "/api/v1/dead-letters/:id/discard",
    {
      config: { needs: "operate", action: "discard" },
      schema: {
        params: letterParams,
        body: z.object({ reason: z.string().max(500) }),
        response: { 200: letterSummary },
      },
    },
    async ({ params: { id }, body, principal }) =>
      summaryOf(await tell(id, { kind: "discard", by: userOf(principal), why: body.reason })),
  );
}
