/**
 * Does nats-server write to disk before it acknowledges? Its protocol does not tell, its monitoring port does. Without
 * that, a loss of power takes what was acknowledged since the last time with it.
 */
import { z } from "zod";
import { sentenceOf } from "../protocol/errors.ts";
import type { Jet } from "./jetstream.ts";

export type StoreSync =
  | { readonly kind: "always" }
  /** One of its servers writes now and then only. */
  | { readonly kind: "lazy"; readonly server: string; readonly everyMs: number }
  | { readonly kind: "unknown"; readonly why: string };

const ANSWER_MS = 3_000;
const NANOS_PER_MS = 1_000_000;

/** Of `/varz`, as 2.12.3 to 2.15.1 have it. */
const varz = z.looseObject({
  server_id: z.string(),
  cluster: z.looseObject({ name: z.string().optional() }).optional(),
  jetstream: z.looseObject({
    config: z.looseObject({ sync_always: z.boolean().default(false), sync_interval: z.number().default(0) }).optional(),
  }),
});
type Varz = z.infer<typeof varz>;

/** Asks the monitoring ports at `urls`: of the server that we are connected to, or of all in its cluster. */
export async function examineSync({ nc }: Jet, urls: readonly string[]): Promise<StoreSync> {
  const known: Varz[] = [];
  let why = `${urls.join(", ")} is another server`;
  for (const { url, answer } of await Promise.all(urls.map(async (one) => ({ url: one, answer: await ask(one) })))) {
    if (typeof answer === "string") {
      // A cluster does without some of its servers.
      why = `${url}: ${answer}`;
      continue;
    }
    const { config } = answer.jetstream;
    if (config === undefined) return { kind: "unknown", why: `the server at ${url} runs without JetStream` };
    if (!config.sync_always) return { kind: "lazy", server: url, everyMs: config.sync_interval / NANOS_PER_MS };
    known.push(answer);
  }
  const ours = { id: nc.info?.server_id ?? "", cluster: nc.info?.cluster ?? "" };
  if (known.some((answer) => isOurs(answer, ours))) return { kind: "always" };
  return { kind: "unknown", why };
}

function isOurs({ server_id, cluster }: Varz, ours: { readonly id: string; readonly cluster: string }): boolean {
  return server_id === ours.id || (ours.cluster !== "" && cluster?.name === ours.cluster);
}

/** Why not, when it cannot be known. */
async function ask(url: string): Promise<Varz | string> {
  try {
    const response = await fetch(new URL("varz", url), { signal: AbortSignal.timeout(ANSWER_MS) });
    if (!response.ok) return `it answers ${response.status}`;
    const read = varz.safeParse(await response.json());
    return read.success ? read.data : "it is no monitoring port of nats-server";
  } catch (error) {
    return error instanceof Error && error.cause !== undefined ? sentenceOf(error.cause) : sentenceOf(error);
  }
}
