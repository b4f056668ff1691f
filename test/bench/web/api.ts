/** The API of one coordinator over a store with very many builds: who listens, and who reads. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connectJet, type Jet } from "../../../kit/jetstream.ts";
import { encode } from "../../../protocol/codec.ts";
import { REACTORS } from "../../../protocol/streams.ts";
import { summarySubject } from "../../../protocol/subjects.ts";
import { NatsServer } from "../../support/nats.ts";
import { build } from "../../support/summaries.ts";
import { until } from "../../support/until.ts";
import type { Figures } from "../report.ts";
import { STORE_BYTES, startCoordinator, usage } from "../scheduler/fleet.ts";
import { fillHistory, HISTORY_REPOSITORIES } from "../scheduler/history.ts";
import { tenths } from "../statistics.ts";

const BUILDS = Number(process.env["TOROID_BENCH_WEB_BUILDS"] ?? 20_000);
const LISTENERS = 400;
const EVENTS_PER_SECOND = 100;
const EVENTS = 10 * EVENTS_PER_SECOND;
/** After the last event, for those that are late. */
const LATE_MS = 10_000;
const CONNECTIONS = 32;
const READ_MS = 8_000;
/** Builds that people look at, and look at again. */
const LOOKED_AT = 200;

interface Said {
  readonly received: number;
  readonly lost: number;
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
  readonly count: number;
}

export interface ApiFigures {
  readonly figures: Figures;
  readonly setup: Readonly<Record<string, unknown>>;
}

export async function benchApi(): Promise<ApiFigures> {
  await using nats = await NatsServer.start({ maxFileBytes: STORE_BYTES });
  await using jet = await connectJet({ url: nats.url, name: "bench" });
  await fillHistory(jet, BUILDS, STORE_BYTES / 2);
  await using coordinator = await startCoordinator(nats);
  const url = await coordinator.url;
  const used = (): ReturnType<typeof usage> => usage(coordinator.child.pid ?? 0);
  await until("the history to be reacted to", () => isQuiet(jet), { withinMs: 300_000, everyMs: 200 });
  const idle = await used();
  const heard = await listen(jet, url);
  const listened = await used();
  const each = BUILDS / HISTORY_REPOSITORIES;
  const paths = Array.from({ length: BUILDS }, (_, at) => {
    const number = Math.max(1, Math.floor(each - at / HISTORY_REPOSITORIES));
    return `/api/v1/builds/history/r${at % HISTORY_REPOSITORIES}/${number}`;
  });
  // As it is after a while: what is new to the engine is slow.
  await read(url, paths.slice(0, LOOKED_AT));
  const before = await used();
  const again = await read(url, paths.slice(0, LOOKED_AT));
  const after = await used();
  const seldom = await read(url, paths.filter((_, at) => at % 7 === 0).slice(0, 2_000));
  return {
    figures: {
      events_lost: heard.lost,
      events_heard: heard.received,
      events_p50_ms: heard.p50,
      events_p99_ms: heard.p99,
      event_cpu_us: tenths(((listened.cpuMs - idle.cpuMs) * 1_000) / heard.received),
      reads_per_s: again.perSecond,
      reads_p99_ms: tenths(again.p99),
      read_cpu_us: tenths(((after.cpuMs - before.cpuMs) * 1_000) / again.count),
      reads_of_2000_per_s: seldom.perSecond,
      rss_idle_mb: megabytes(idle),
      rss_listeners_mb: megabytes(listened),
      rss_reads_mb: megabytes(await used()),
    },
    setup: { builds: BUILDS, listeners: LISTENERS, events_per_s: EVENTS_PER_SECOND, connections: CONNECTIONS },
  };
}

async function isQuiet(jet: Jet): Promise<boolean> {
  const infos = await Promise.all(REACTORS.map(({ stream, name }) => jet.jsm.consumers.info(stream, name)));
  return infos.every(({ num_pending, num_ack_pending }) => num_pending + num_ack_pending === 0);
}

/** Changes of builds at an even pace, as the summaries that coordinators would write. */
async function listen(jet: Jet, url: string): Promise<Said> {
  const child = start("listeners.ts", [url, String(LISTENERS), String(EVENTS)]);
  await once(child, "message");
  const heard = once(child, "message");
  const beganMs = performance.now();
  for (let at = 0; at < EVENTS; at += 1) {
    const dueMs = beganMs + (at * 1_000) / EVENTS_PER_SECOND;
    if (dueMs > performance.now()) await delay(dueMs - performance.now());
    const saidMs = performance.timeOrigin + performance.now();
    const summary = build(at + 1, { repository: "bench/events", message: `said ${at} ${saidMs}` });
    jet.nc.publish(summarySubject(summary), encode({ v: 1, id: `event ${at}`, ...summary }));
  }
  const late = setTimeout(() => child.send("report"), LATE_MS);
  const [said] = (await heard) as [Said];
  clearTimeout(late);
  return said;
}

async function read(url: string, paths: readonly string[]): Promise<Said> {
  const child = start("readers.ts", [url, String(CONNECTIONS), String(READ_MS), ...paths]);
  const [said] = (await once(child, "message")) as [Said];
  return said;
}

function start(file: string, args: readonly string[]): ChildProcess {
  return fork(join(import.meta.dirname, file), args);
}

function megabytes({ rssBytes }: { readonly rssBytes: number }): number {
  return Math.round(rssBytes / 1024 ** 2);
}
