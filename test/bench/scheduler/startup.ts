/** A coordinator that starts where very many builds are. */
import { connectJet } from "../../../kit/jetstream.ts";
import { BUILD, PUSH, RUN } from "../../../protocol/streams.ts";
import { NatsServer } from "../../support/nats.ts";
import { tenths } from "../statistics.ts";
import { startCoordinator } from "./fleet.ts";
import { fillHistory, HISTORY_REPOSITORIES as REPOSITORIES } from "./history.ts";

/** A million summaries and marks fit. */
const STORE_BYTES = 12 * 1024 ** 3;
const PAGES = 50;

export interface WithHistory {
  /** From its start to its readiness. */
  readonly startupMs: number;
  readonly pageMs: number;
  /** Of the server's store, for each build. */
  readonly bytesABuild: number;
}

/** A coordinator that starts where there are `builds` builds, and shows pages of them. */
export async function withHistory(builds: number): Promise<WithHistory> {
  await using nats = await NatsServer.start({ maxFileBytes: STORE_BYTES + 1024 ** 3 });
  await using jet = await connectJet({ url: nats.url, name: "bench" });
  await fillHistory(jet, builds, STORE_BYTES);
  const streams = await Promise.all([BUILD, RUN, PUSH].map(({ name }) => jet.jsm.streams.info(name)));
  const bytes = streams.reduce((sum, { state }) => sum + state.bytes, 0);
  const beganMs = performance.now();
  await using coordinator = await startCoordinator(nats, STORE_BYTES);
  const startupMs = performance.now() - beganMs;
  const url = await coordinator.url;
  const each = Math.ceil(builds / REPOSITORIES);
  const pagesMs = performance.now();
  for (let page = 0; page < PAGES; page += 1) {
    const before = Math.max(2, Math.floor((each * (page + 1)) / PAGES));
    const query = new URLSearchParams({ repository: `history/r${page % REPOSITORIES}`, before: String(before) });
    const answer = await fetch(`${url}/api/v1/builds?${query.toString()}`);
    const { builds: shown } = (await answer.json()) as { builds: readonly unknown[] };
    if (shown.length === 0) throw new Error(`a page of history is empty: ${query.toString()}`);
  }
  const pageMs = (performance.now() - pagesMs) / PAGES;
  return { startupMs: Math.round(startupMs), pageMs: tenths(pageMs), bytesABuild: Math.round(bytes / builds) };
}
