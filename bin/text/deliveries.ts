import type { DeliverySummary, TargetSummary } from "../../protocol/delivery.ts";
import { oneLine, table } from "./output.ts";
import { age } from "./time.ts";

const WORDS: Readonly<Record<DeliverySummary["status"], string>> = {
  waiting: "waits",
  sending: "is sent",
  delivered: "delivered",
  gaveUp: "given up",
  overtaken: "overtaken",
};

export function deliveryTable(deliveries: readonly DeliverySummary[], nowMs: number): string {
  const rows = deliveries.map((one) => [
    one.id,
    oneLine(one.target, 40),
    WORDS[one.status],
    String(one.tried),
    age(one.atMs, nowMs),
    oneLine(one.about, 60),
    one.status === "delivered" ? "" : oneLine(one.attempts.at(-1)?.message ?? "", 100),
  ]);
  return table([["DELIVERY", "TARGET", "STATE", "TRIES", "AGE", "ABOUT", "WHY NOT"], ...rows]);
}

export function deliveryReport(one: DeliverySummary, nowMs: number): string {
  const lines = [
    `${one.id} to ${oneLine(one.target, 40)} (${one.channel}): ${WORDS[one.status]}`,
    oneLine(one.about, 200),
  ];
  const tries = one.attempts.map(({ atMs, message }) => `  ${new Date(atMs).toISOString()}  ${oneLine(message, 200)}`);
  const next =
    one.nextAtMs !== null && one.nextAtMs > nowMs ? [`next try at ${new Date(one.nextAtMs).toISOString()}`] : [];
  return [...lines, ...tries, ...next].map((line) => `${line}\n`).join("");
}

export function targetTable(targets: readonly TargetSummary[]): string {
  const rows = targets.map((one) => [
    oneLine(one.name, 40),
    one.channel,
    oneLine(one.where, 80),
    one.on,
    one.for.length === 0 ? "who names it" : oneLine(one.for.join(", "), 60),
    String(one.waiting),
    oneLine(one.says, 100),
  ]);
  return table([["TARGET", "BY", "WHERE", "ON", "OF", "WAITING", "MISSING"], ...rows]);
}
