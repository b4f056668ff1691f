/** Builds as people see them: read by number, never by listing a stream. */
import { DeliverPolicy } from "@nats-io/jetstream";
import { follow } from "../../kit/follow.ts";
import { type Jet, readLast } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import { decode } from "../../protocol/codec.ts";
import { pushEvent } from "../../protocol/events.ts";
import type { BuildId } from "../../protocol/ids.ts";
import { BUILD, PUSH } from "../../protocol/streams.ts";
import { parsePushSubject, parseSummarySubject, summarySubject } from "../../protocol/subjects.ts";
import { type BuildSummary, buildSummary } from "../../protocol/summary.ts";
import { BuildIndex, indexed } from "./build-index.ts";

export interface History {
  /** Repositories with the number of their newest build, by name. */
  repositories(): readonly { readonly repository: string; readonly builds: number }[];
  build(id: BuildId): Promise<BuildSummary | null>;
  /** Up to `limit` builds of one repository, newest first, from below number `before`. */
  page(repository: string, before: number, limit: number): Promise<readonly BuildSummary[]>;
  readonly index: BuildIndex;
  /** Is every build in the index? It is read in beside all else, after the start. */
  isIndexed(): boolean;
  /** Last sequence of TOROID_BUILD that listeners have heard of. */
  seq(): number;
  /** Hears of every change from now on; `read` answers the build as it is then, for who wants to know. */
  onChange(listener: (id: BuildId, read: () => BuildSummary) => void): void;
}

/** Follows the streams until `stop`. Resolves when the newest build of every repository is known. */
export async function followHistory(jet: Jet, stop: AbortSignal, log: Logger): Promise<History> {
  const newest = new Map<string, number>();
  const listeners: ((id: BuildId, read: () => BuildSummary) => void)[] = [];
  await follow(jet, PUSH.name, DeliverPolicy.LastPerSubject, stop, log, (subject, data) => {
    const repository = parsePushSubject(subject);
    newest.set(repository, Math.max(newest.get(repository) ?? 0, decode(pushEvent, data).number));
  });
  let seq = (await jet.jsm.streams.info(BUILD.name)).state.last_seq;
  await follow(jet, BUILD.name, DeliverPolicy.New, stop, log, (subject, data, at) => {
    seq = at;
    const id = parseSummarySubject(subject);
    for (const listener of listeners) listener(id, () => decode(buildSummary, data));
  });

  const index = new BuildIndex();
  let isIndexed = false;
  // Nobody waits for it: until it is whole, what is looked for is looked for without.
  follow(jet, BUILD.name, DeliverPolicy.All, stop, log, (_subject, data) => index.put(decode(indexed, data))).then(
    () => (isIndexed = true),
    (error: unknown) => log.error({ err: error }, "the index of builds is not kept any more"),
  );

  async function build(id: BuildId): Promise<BuildSummary | null> {
    const last = await readLast(jet, BUILD.name, summarySubject(id));
    return last === null ? null : decode(buildSummary, last.data);
  }

  return {
    repositories: () =>
      [...newest]
        .map(([repository, builds]) => ({ repository, builds }))
        .sort((a, b) => a.repository.localeCompare(b.repository)),
    build,
    index,
    isIndexed: () => isIndexed,
    async page(repository, before, limit) {
      const top = Math.min(before - 1, newest.get(repository) ?? 0);
      const numbers = Array.from({ length: Math.max(0, Math.min(limit, top)) }, (_, at) => top - at);
      const found = await Promise.all(numbers.map((number) => build({ repository, number })));
      return found.filter((one) => one !== null);
    },
    seq: () => seq,
    onChange: (listener) => {
      listeners.push(listener);
    },
  };
}
