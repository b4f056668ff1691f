/** Builds that are over, as busy years leave them: summaries, the marks of archived builds, the newest pushes. */
import type { Jet } from "../../../kit/jetstream.ts";
import { ensureTopology, openBucket } from "../../../kit/topology.ts";
import { encode } from "../../../protocol/codec.ts";
import type { BuildEvent, PushEvent } from "../../../protocol/events.ts";
import { escapeToken } from "../../../protocol/ids.ts";
import { ARCHIVE, REACTORS } from "../../../protocol/streams.ts";
import { buildRunSubject, pushSubject, summarySubject } from "../../../protocol/subjects.ts";
import type { BuildSummary, StageSummary } from "../../../protocol/summary.ts";
import { versionOf } from "../../../protocol/versions.ts";
import { build, stage } from "../../support/summaries.ts";

export const HISTORY_REPOSITORIES = 20;
/** Of each repository's log that are still there. */
const PUSHES_KEPT = 2_000;
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const MINUTE_MS = 60_000;
/** One build after the other until now, a minute apart. */
const EVERY_MS = MINUTE_MS;
/** The server drops what comes faster than it writes, so that one of so many is waited for. */
const UNACKNOWLEDGED = 250;
/** Of that one, which may be dropped itself on a busy machine. */
const MOST_TRIES = 10;

/** Fills the streams with `builds` archived builds, spread over some repositories. */
export async function fillHistory(jet: Jet, builds: number, storeBytes: number): Promise<void> {
  await ensureTopology(jet, REACTORS, { storeBytes, replicas: 1 });
  let sent = 0;
  async function put(subject: string, message: object): Promise<void> {
    const data = encode({ v: versionOf(message), ...message });
    sent += 1;
    if (sent % UNACKNOWLEDGED === 0) await jet.js.publish(subject, data, { retries: MOST_TRIES });
    else jet.nc.publish(subject, data);
  }
  const each = Math.ceil(builds / HISTORY_REPOSITORIES);
  const began = Date.now() - builds * EVERY_MS;
  for (let number = 1; number <= each; number += 1) {
    for (let at = 0; at < HISTORY_REPOSITORIES; at += 1) {
      const id = { repository: `history/r${at}`, number };
      const createdAtMs = began + ((number - 1) * HISTORY_REPOSITORIES + at) * EVERY_MS;
      await put(summarySubject(id), { id: `${at} ${number}`, ...summaryOf(id, createdAtMs) });
      await put(buildRunSubject(id), archivedAt(createdAtMs + MINUTE_MS));
      if (number > each - PUSHES_KEPT) await put(pushSubject(id.repository), accepted(id, createdAtMs));
    }
  }
  const cursors = await openBucket(jet, ARCHIVE);
  for (let at = 0; at < HISTORY_REPOSITORIES; at += 1) {
    const key = escapeToken(`history/r${at}`);
    await cursors.put(key, JSON.stringify({ next: each + 1, kept: [] }));
  }
}

function archivedAt(atMs: number): BuildEvent {
  return { type: "archived", id: "0b1cbd1c-3b0e-4f2c-9a53-f2f3a8f8f0a1", atMs };
}

function accepted({ repository, number }: { repository: string; number: number }, atMs: number): PushEvent {
  const push = {
    repository,
    repositoryId: 1_234_567,
    remote: { https: `https://git.invalid/${repository}.git`, ssh: `git@git.invalid:${repository}.git` },
    ref: "refs/heads/main",
    before: COMMIT,
    commit: COMMIT,
    created: false,
    forced: false,
    defaultBranch: "main",
    message: "Count what is counted once more",
    author: "Ada Lovelace",
    deliveryId: `0b1cbd1c-3b0e-4f2c-9a53-${String(number).padStart(12, "0")}`,
    people: ["Ada Lovelace", "ada"],
    params: {},
  };
  const key = `delivery-${push.deliveryId}`;
  return { type: "accepted", id: push.deliveryId, atMs, number, key, push, by: "queue", since: 0 };
}

/** Of an application with one environment. */
function summaryOf({ repository, number }: { repository: string; number: number }, createdAtMs: number): BuildSummary {
  const ended: Partial<StageSummary> = {
    executor: "i-0123456789abcdef0",
    queuedAtMs: createdAtMs + 10,
    claimedAtMs: createdAtMs + 20,
    startedAtMs: createdAtMs + 80,
    finishedAtMs: createdAtMs + MINUTE_MS / 2,
    logBytes: 20_000,
    stepsMs: { checkout: 40, workspace: 9, install: 5_000, script: 20_000 },
    seq: number,
  };
  return build(number, {
    repository,
    commit: COMMIT,
    commitMessage: "Count what is counted once more",
    author: "Ada Lovelace",
    createdAtMs,
    finishedAtMs: createdAtMs + MINUTE_MS,
    archivedAtMs: createdAtMs + MINUTE_MS,
    stages: [
      stage("_plan", ended),
      stage("build", ended),
      stage("prod", { ...ended, environment: "prod", needs: ["build"] }),
    ],
    seq: number,
  });
}
