import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { PROTOCOL_VERSION } from "../../protocol/versions.ts";
import type { Config } from "../config.ts";
import type { HttpParts } from "./ports.ts";

const count = z.number().int().nonnegative();

/** What is configured, without anything that is secret. */
export const settingsShown = z.object({
  version: z.string(),
  /** The newest version of the protocol that this coordinator understands. */
  protocol: count,
  /** Where pushes come from; null: by the API only. */
  queue: z.object({ url: z.string(), deadLetterUrl: z.string().nullable() }).nullable(),
  pool: z.string(),
  keep: z.object({
    /** null: for ever. */
    buildsDays: z.number().nullable(),
    logsDays: z.number(),
  }),
  store: z.object({ bytes: count, replicas: count, ok: z.boolean(), says: z.string() }),
  amis: z.object({
    system: z.string(),
    regions: z.array(z.string()),
    keepNewest: count.nullable(),
    keepDays: z.number().nullable(),
  }),
});
export type SettingsShown = z.infer<typeof settingsShown>;

const DAY_MS = 24 * 60 * 60 * 1_000;

export function shownOf(config: Config, version: string, { ok, says }: HttpParts["durability"]): SettingsShown {
  const { queue, pool, keepBuildsMs, keepLogsMs, storeBytes, replicas, amis } = config;
  return {
    version,
    protocol: PROTOCOL_VERSION,
    queue: queue === null ? null : { url: queue.url, deadLetterUrl: queue.deadLetterUrl },
    pool,
    keep: { buildsDays: keepBuildsMs === null ? null : keepBuildsMs / DAY_MS, logsDays: keepLogsMs / DAY_MS },
    store: { bytes: storeBytes, replicas, ok, says },
    amis: {
      system: amis.system,
      regions: [...amis.regions],
      keepNewest: amis.keep.newest,
      keepDays: amis.keep.ms === null ? null : amis.keep.ms / DAY_MS,
    },
  };
}

export function settingsRoutes(plain: FastifyInstance, { settings }: HttpParts): void {
  const app = plain.withTypeProvider<ZodTypeProvider>();
  app.get(
    "/api/v1/settings",
    { config: { needs: "read" }, schema: { response: { 200: settingsShown } } },
    () => settings,
  );
}
