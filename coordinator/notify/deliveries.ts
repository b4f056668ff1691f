/** Deliveries as people see them, and what people may do about them. */
import { randomUUID } from "node:crypto";
import { append, type Jet, readFrom, readLast } from "../../kit/jetstream.ts";
import { decode } from "../../protocol/codec.ts";
import {
  type Channel,
  type Delivery,
  type DeliveryPage,
  type DeliverySummary,
  deliveryRecord,
  type TargetSummary,
} from "../../protocol/delivery.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { NOTIFY } from "../../protocol/streams.ts";
import { deliverySubject } from "../../protocol/subjects.ts";
import { idOf } from "./audience.ts";
import type { Open } from "./open.ts";
import { GITHUB, type NotifySettings, whereOf } from "./settings.ts";
import { again } from "./transitions.ts";
import { headline } from "./words.ts";

export interface Deliveries {
  /**
   * What changed last comes first. `before`: the `next` of the page before; `readable`: about which repositories, null
   * for all.
   */
  page(before: number | null, limit: number, readable: Readable): Promise<DeliveryPage>;
  /** Null: there is no such delivery, or not for who asks. */
  read(id: string, readable: Readable): Promise<DeliverySummary | null>;
  /** Null: there is no such delivery. */
  retry(id: string): Promise<DeliverySummary | null>;
  /** Says something of no importance there, as everything else is said. */
  test(target: string, channel: Channel, by: string): Promise<DeliverySummary>;
  targets(): readonly TargetSummary[];
}

type Readable = ((repository: string) => boolean) | null;

const FILTER = "toroid.notify.>";
const WINDOW = 512;
/** How far one question looks back; whoever wants more goes on with `next`. */
const MOST_WINDOWS = 16;
const MAX_RACES = 20;

export function makeDeliveries(jet: Jet, open: Open, settings: NotifySettings, publicUrl: string | null): Deliveries {
  /** What is stored in a stretch of sequences. They have gaps, since each change replaces what was there. */
  async function window(from: number, to: number): Promise<readonly { seq: number; delivery: Delivery }[]> {
    const found = await readFrom(jet, NOTIFY.name, FILTER, from, to - from);
    return found.flatMap(({ seq, data }) =>
      seq < to ? [{ seq, delivery: decode(deliveryRecord, data).delivery }] : [],
    );
  }

  async function write(delivery: Delivery, expectedSeq: number): Promise<boolean> {
    const record = { id: randomUUID(), delivery };
    const done = await append(jet, NOTIFY.name, deliverySubject(delivery.id), record, expectedSeq);
    return done.kind === "appended";
  }

  const missing = publicUrl === null ? "without TOROID_PUBLIC_URL it has no links" : "";

  return {
    async page(before, limit, readable) {
      const { first_seq, last_seq } = (await jet.jsm.streams.info(NOTIFY.name)).state;
      const found: { readonly seq: number; readonly delivery: Delivery }[] = [];
      const deliveries = (): DeliverySummary[] => found.map(({ delivery }) => summaryOf(delivery));
      let to = Math.min(before ?? Number.MAX_SAFE_INTEGER, last_seq + 1);
      for (let windows = 0; windows < MOST_WINDOWS && to > first_seq; windows += 1) {
        const from = Math.max(first_seq, to - WINDOW);
        for (const one of (await window(from, to)).toReversed()) {
          if (readable !== null && !readable(one.delivery.notice.repository)) continue;
          if (found.length === limit) return { deliveries: deliveries(), next: String(found.at(-1)?.seq ?? to) };
          found.push(one);
        }
        to = from;
      }
      return { deliveries: deliveries(), next: to > first_seq ? String(to) : null };
    },

    async read(id, readable) {
      const last = await readLast(jet, NOTIFY.name, deliverySubject(id));
      if (last === null) return null;
      const { delivery } = decode(deliveryRecord, last.data);
      return readable === null || readable(delivery.notice.repository) ? summaryOf(delivery) : null;
    },

    async retry(id) {
      for (let race = 1; race <= MAX_RACES; race += 1) {
        const last = await readLast(jet, NOTIFY.name, deliverySubject(id));
        if (last === null) return null;
        const { delivery } = decode(deliveryRecord, last.data);
        const changed = again(delivery, jet.clock.nowMs());
        if (await write(changed, last.seq)) return summaryOf(changed);
      }
      throw new ToroidError("TOR_CONFLICT", `${id} changes faster than we can decide: ask again`);
    },

    async test(target, channel, by) {
      const nowMs = jet.clock.nowMs();
      const notice = {
        kind: "test" as const,
        state: "pending" as const,
        atMs: nowMs,
        repository: "*",
        number: null,
        stage: null,
        round: 1,
        environment: null,
        message: "",
        by,
        ref: "",
        commit: null,
        title: "",
        author: "",
        remote: null,
        change: false,
        rollback: false,
        mayFail: false,
        untilMs: null,
      };
      const key = randomUUID();
      const delivery: Delivery = {
        id: idOf(target, `test ${key}`, key),
        atMs: nowMs,
        target,
        channel,
        mode: "message",
        order: [],
        about: headline(notice),
        status: "waiting",
        attempts: [],
        tried: 0,
        sinceMs: nowMs,
        nextAtMs: nowMs,
        remoteId: null,
        notice,
      };
      await write(delivery, 0);
      return summaryOf(delivery);
    },

    targets() {
      const own = settings.targets.map((target) => ({
        name: target.name,
        channel: target.channel,
        where: whereOf(target),
        for: [...target.for],
        on: target.on,
        says: missing,
        waiting: open.waiting(target.name),
      }));
      const { github } = settings;
      if (github === null) return own;
      const where = `${new URL(github.url).host} ${github.auth.kind === "app" ? `as app ${github.auth.id}` : "with a token"}`;
      const forge = { name: GITHUB, channel: GITHUB, where, on: "always" } as const;
      return [...own, { ...forge, for: [...github.for], says: missing, waiting: open.waiting(GITHUB) }];
    },
  };
}

function summaryOf(delivery: Delivery): DeliverySummary {
  const { id, atMs, target, channel, about, status, attempts, tried, nextAtMs } = delivery;
  return { id, atMs, target, channel, about, status, attempts, tried, nextAtMs };
}
