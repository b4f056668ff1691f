/** Notifications on their way: one record for each notice and target, kept in TOROID_NOTIFY. */
import { z } from "zod";
import { notice } from "./notice.ts";

/** `overtaken`: something newer was to be said there before this could be. */
export const deliveryStatus = z.enum(["waiting", "sending", "delivered", "gaveUp", "overtaken"]);
export type DeliveryStatus = z.infer<typeof deliveryStatus>;

export const channel = z.enum(["github", "webhook", "slack", "email", "none"]);
export type Channel = z.infer<typeof channel>;

export const attempt = z.looseObject({
  atMs: z.number(),
  /** Of the answer, where the channel has one. */
  status: z.number().int().nullable(),
  message: z.string(),
});

export const delivery = z.looseObject({
  /** `<target>.<lane>.<place>`, as in its subject: the same for the same notice, whoever makes it. */
  id: z.string(),
  atMs: z.number(),
  target: z.string(),
  channel,
  /** `state`: only the newest of a lane counts. `message`: each counts, in order. */
  mode: z.enum(["state", "message"]),
  /** Of `state`: greater is newer. */
  order: z.array(z.number()),
  about: z.string(),
  status: deliveryStatus,
  /** The last ones. */
  attempts: z.array(attempt),
  tried: z.number().int().nonnegative(),
  /** Since when it is tried, by which it is given up. */
  sinceMs: z.number(),
  /** Not before; of one that is being sent, when others may take it up. Null: it is over. */
  nextAtMs: z.number().nullable(),
  /** What the other side calls what was made there. */
  remoteId: z.string().nullable(),
  notice,
});
export type Delivery = z.infer<typeof delivery>;

/** What is stored. */
export const deliveryRecord = z.looseObject({ id: z.string(), delivery });

/** For people. */
export const deliverySummary = delivery
  .pick({
    id: true,
    atMs: true,
    target: true,
    channel: true,
    about: true,
    status: true,
    attempts: true,
    tried: true,
    nextAtMs: true,
  })
  .loose();
export type DeliverySummary = z.infer<typeof deliverySummary>;

export const deliveryPage = z.looseObject({ deliveries: z.array(deliverySummary), next: z.string().nullable() });
export type DeliveryPage = z.infer<typeof deliveryPage>;

/** A target as the operator named it. Nothing in here is a secret. */
export const targetSummary = z.looseObject({
  name: z.string(),
  channel,
  /** Where it leads to: a host, addresses. */
  where: z.string(),
  /** Repositories that are told of without asking. */
  for: z.array(z.string()),
  on: z.enum(["change", "always", "never"]),
  /** What its notifications lack; empty when nothing. */
  says: z.string(),
  /** Deliveries that wait. */
  waiting: z.number().int().nonnegative(),
});
export type TargetSummary = z.infer<typeof targetSummary>;

export const targetList = z.looseObject({ targets: z.array(targetSummary) });
