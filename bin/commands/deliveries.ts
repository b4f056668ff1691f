import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type DeliverySummary, deliveryPage, deliverySummary, targetList } from "../../protocol/delivery.ts";
import { EXIT, Failure, usageError } from "../exit.ts";
import { deliveryReport, deliveryTable, targetTable } from "../text/deliveries.ts";
import { type Context, verb } from "../verb.ts";

const DEFAULT_LIMIT = 30;
const PAGE_MOST = 100;
/** A target that answers does so within ten seconds. */
const ENDED_MS = 15_000;
const LOOK_MS = 250;

export const deliveriesLs = verb({
  usage: "deliveries ls",
  summary: "notifications, what changed last first: to whom, about what, whether they were delivered, or why not",
  examples: ["toroid deliveries ls", "toroid deliveries ls --open --limit 100"],
  flags: [
    { flags: "--limit <n>", about: `how many, ${PAGE_MOST} at most (default ${DEFAULT_LIMIT})` },
    { flags: "--open", about: "only what is not delivered: waiting, or given up" },
  ],
  options: z.object({
    limit: z
      .string()
      .regex(/^[1-9][0-9]?$|^100$/, `--limit must be a number from 1 to ${PAGE_MOST}`)
      .default(String(DEFAULT_LIMIT))
      .transform(Number),
    open: z.boolean().default(false),
  }),
  async run(context, _args, { limit, open }) {
    const found = await list(context, limit, open ? isUndelivered : () => true);
    if (context.json) await context.out(`${JSON.stringify({ deliveries: found })}\n`);
    else if (found.length > 0) await context.out(deliveryTable(found, Date.now()));
    else context.err(open ? "nothing waits, and nothing was given up" : "nobody was notified of anything");
    return EXIT.ok;
  },
});

export const deliveriesRetry = verb({
  usage: "deliveries retry <delivery>",
  summary: "try a notification again that was given up, or that waits for its next try",
  examples: ["toroid deliveries retry team.5d8a01c27e96b3f04a1c.0b44a17d9e32c5f86b70"],
  flags: [{ flags: "--reason <text>", about: "why, for the record" }],
  options: z.object({ reason: z.string().default("") }),
  async run(context, [id = ""], { reason }) {
    const path = `api/v1/deliveries/${encodeURIComponent(id)}/retry`;
    return ended(context, await context.api().post(path, { reason }, deliverySummary));
  },
});

export const deliveriesTargets = verb({
  usage: "deliveries targets",
  summary: "who is notified, of which repositories, and what is missing in their configuration",
  examples: ["toroid deliveries targets"],
  flags: [],
  options: z.object({}),
  async run({ api, json, out, err }) {
    const { targets } = await api().get("api/v1/targets", targetList);
    if (json) await out(`${JSON.stringify({ targets })}\n`);
    else if (targets.length > 0) await out(targetTable(targets));
    else err("nobody is notified: the coordinator has no TOROID_NOTIFY");
    return EXIT.ok;
  },
});

export const deliveriesTest = verb({
  usage: "deliveries test <target>",
  summary: "send a target something of no importance, as everything else is sent, and say what came of it",
  examples: ["toroid deliveries test team"],
  flags: [],
  options: z.object({}),
  async run(context, [target = ""]) {
    if (target === "") throw usageError("name a target: `toroid deliveries targets` lists them");
    const path = `api/v1/targets/${encodeURIComponent(target)}/test`;
    return ended(context, await context.api().post(path, {}, deliverySummary));
  },
});

/** Waits for what becomes of a delivery, up to its next answer. */
async function ended(context: Context, begun: DeliverySummary): Promise<number> {
  const late = performance.now() + ENDED_MS;
  let now = begun;
  const isUntried = (): boolean => now.tried <= begun.tried || now.status === "sending";
  while (isWaiting(now) && isUntried() && performance.now() < late) {
    await sleep(LOOK_MS);
    now = await context.api().get(`api/v1/deliveries/${encodeURIComponent(begun.id)}`, deliverySummary);
  }
  await context.out(context.json ? `${JSON.stringify(now)}\n` : deliveryReport(now, Date.now()));
  if (now.status === "delivered") return EXIT.ok;
  if (now.status === "gaveUp") return EXIT.failed;
  throw new Failure(
    EXIT.server,
    "TOR_SERVER_UNREACHABLE",
    `${now.id} is not delivered yet; it is tried again by itself`,
  );
}

function isWaiting({ status }: DeliverySummary): boolean {
  return status === "waiting" || status === "sending";
}

function isUndelivered({ status }: DeliverySummary): boolean {
  return status === "waiting" || status === "sending" || status === "gaveUp";
}

async function list(
  { api }: Context,
  limit: number,
  wanted: (one: DeliverySummary) => boolean,
): Promise<readonly DeliverySummary[]> {
  const query = new URLSearchParams({ limit: String(PAGE_MOST) });
  const found: DeliverySummary[] = [];
  for (;;) {
    const { deliveries, next } = await api().get(`api/v1/deliveries?${query.toString()}`, deliveryPage);
    found.push(...deliveries.filter(wanted));
    if (next === null || found.length >= limit) return found.slice(0, limit);
    query.set("before", next);
  }
}
