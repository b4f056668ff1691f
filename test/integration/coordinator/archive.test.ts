import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { type ArchiverParts, archivePass } from "../../../coordinator/archive/archiver.ts";
import { trimPushes } from "../../../coordinator/archive/pushes.ts";
import { makeEffects } from "../../../coordinator/effects.ts";
import { makeMailboxes } from "../../../coordinator/mailboxes.ts";
import { followHistory } from "../../../coordinator/projections/history.ts";
import { followLanes } from "../../../coordinator/projections/lanes.ts";
import { runReactor } from "../../../coordinator/reactor.ts";
import { claimStage } from "../../../executor/claim.ts";
import { append, deleteSequence, type Jet, readSubject } from "../../../kit/jetstream.ts";
import { Lease } from "../../../kit/lease.ts";
import { openBucket } from "../../../kit/topology.ts";
import { decode } from "../../../protocol/codec.ts";
import type { Command } from "../../../protocol/commands.ts";
import { buildEvent, type PushEvent, pushEvent } from "../../../protocol/events.ts";
import { PLAN_STAGE } from "../../../protocol/ids.ts";
import { ARCHIVE, COMMAND, EXECUTORS, LEASES, PUSH, RUN } from "../../../protocol/streams.ts";
import { buildRunSubject, pushSubject, stageRunSubject } from "../../../protocol/subjects.ts";
import { buildSummary } from "../../../protocol/summary.ts";
import { until } from "../../support/until.ts";
import { commitOf, push, REPOSITORY, stagePlan, target, workFor } from "../../unit/coordinator/samples.ts";
import { type Api, BUILDS, refusal, startApi, startBuild } from "./api-rig.ts";
import { dispatchAtOnce, eventsOn, quiet, runStage, startRig } from "./rig.ts";

const LIMIT = { timeout: 120_000 };
const NOW = { keepMs: 0, halvings: 0 };
const PROD = `/api/v1/environments/${REPOSITORY}/prod`;
const NEVER = new AbortController().signal;

const idOf = (number: number) => ({ repository: REPOSITORY, number });

/** What an archiver of another coordinator needs. */
async function archiver(jet: Jet, undo: AsyncDisposableStack): Promise<ArchiverParts> {
  const stop = new AbortController();
  undo.defer(() => stop.abort());
  const leases = await openBucket(jet, LEASES);
  return {
    jet,
    actors: makeMailboxes(jet, quiet),
    history: await followHistory(jet, stop.signal, quiet),
    lanes: await followLanes(jet, stop.signal, quiet),
    // Its own, so that two may think they have it.
    lease: undo.use(new Lease(leases, `test-${randomUUID()}`, randomUUID(), LEASES.ttlMs, quiet)),
    cursors: await openBucket(jet, ARCHIVE),
    keepBuildsMs: 0,
    log: quiet,
  };
}

/** Everything of one build in TOROID_RUN, by what it is. */
async function logsOf(jet: Jet, number: number): Promise<readonly string[]> {
  const stored = await readSubject(jet, RUN.name, buildRunSubject(idOf(number)).replace("_build", ">"), 0);
  return stored.map(({ subject }) => subject.split(".").at(-1) ?? "");
}

/** A build that was built, and deployed when `deployed`. */
async function ended(api: Api, number: number, deployed = false): Promise<void> {
  await startBuild(api, [target("prod", ["build"], { automatic: deployed })], number);
  await runStage(api.jet, api.actors, { ...idOf(number), stage: "build", round: 1 });
  if (deployed) await runStage(api.jet, api.actors, { ...idOf(number), stage: "prod", round: 1 });
  await until(`#${number} to be shown as ended`, async () => (await shown(api, number)).status === "finished");
}

async function shown({ get }: Api, number: number) {
  return buildSummary.parse(await (await get(`${BUILDS}/${REPOSITORY}/${number}`)).json());
}

async function archived(api: Api, number: number): Promise<void> {
  await until(`#${number} to be archived`, async () => (await logsOf(api.jet, number)).join() === "_build");
  await until(`#${number} to be shown as archived`, async () => (await shown(api, number)).archivedAtMs !== null);
}

test(
  "a build that ended is archived: its summary stays, and whoever asks more of it hears why not",
  LIMIT,
  async () => {
    await using api = await startApi();
    await using undo = new AsyncDisposableStack();
    await ended(api, 1);
    await startBuild(api, [], 2);
    const before = await shown(api, 1);

    const parts = await archiver(api.jet, undo);
    assert.equal(await archivePass(parts, NOW, NEVER), 1, "#2 has not ended");
    await archived(api, 1);
    const after = await shown(api, 1);
    const { id: _before, ...rest } = before;
    const { id: _after, ...kept } = after;
    assert.deepEqual({ ...kept, seq: 0, archivedAtMs: null }, { ...rest, seq: 0 });

    const sentence =
      /^410 TOR_ARCHIVED: the build was archived on 20\d\d-\d\d-\d\d: its plan and what it built are known no more/;
    const one = `${BUILDS}/${REPOSITORY}/1`;
    assert.match(await refusal(await api.post(`${one}/retry`, {})), sentence);
    assert.match(await refusal(await api.post(`${one}/stages/build/retry`, {})), sentence);
    assert.match(await refusal(await api.post(`${one}/environments/prod`, {})), sentence);
    assert.match(await refusal(await api.post(`${PROD}/promote`, { build: 1 })), sentence);
    assert.match(await refusal(await api.post(`${PROD}/rollback`, { build: 1, reason: "slow" })), sentence);
    assert.equal((await api.post(`${one}/cancel`, {})).status, 200, "what is over can be cancelled without harm");

    assert.equal(await archivePass(parts, NOW, NEVER), 0, "once is enough");
    await runStage(api.jet, api.actors, { ...idOf(2), stage: "build", round: 1 });
    await until("#2 to be archived", async () => (await archivePass(parts, NOW, NEVER)) === 1);
    await archived(api, 2);
  },
);

test("what is live, and what was before, is kept until something else is", LIMIT, async () => {
  await using api = await startApi();
  await using undo = new AsyncDisposableStack();
  for (const number of [1, 2]) await ended(api, number, true);
  await ended(api, 3);
  const parts = await archiver(api.jet, undo);
  assert.equal(await archivePass(parts, NOW, NEVER), 1);
  await archived(api, 3);
  assert.deepEqual(
    [(await shown(api, 1)).archivedAtMs, (await shown(api, 2)).archivedAtMs],
    [null, null],
    "#2 is live, and a rollback goes to #1",
  );
  const back = await api.post(`${PROD}/rollback`, { reason: "slow" });
  assert.equal(back.status, 202, await back.clone().text());
  await runStage(api.jet, api.actors, { ...idOf(1), stage: "prod", round: 2 });
  // Nothing goes back to #2 now.
  await until("#2 to be archived", async () => (await archivePass(parts, NOW, NEVER)) === 1);
  await archived(api, 2);
});

test("two archivers at once archive each build once, and stopping anywhere loses nothing", LIMIT, async () => {
  await using api = await startApi();
  await using undo = new AsyncDisposableStack();
  for (const number of [1, 2, 3, 4]) await ended(api, number);
  const [one, other] = [await archiver(api.jet, undo), await archiver(api.jet, undo)];
  const counts = await Promise.all([archivePass(one, NOW, NEVER), archivePass(other, NOW, NEVER)]);
  assert.equal(counts[0] + counts[1], 4);
  for (const number of [1, 2, 3, 4]) await archived(api, number);
  // What was remembered of how far they came is lost: looked for again, and found to be done.
  await one.cursors.purge("acme__api");
  assert.equal(await archivePass(one, NOW, NEVER), 0);
});

test("a coordinator that died while it removed a build leaves the rest to the next one", LIMIT, async () => {
  await using api = await startApi();
  await ended(api, 1);
  await api.stopCoordinator();
  const actors = makeMailboxes(api.jet, quiet);
  await actors.build.tell(idOf(1), { kind: "archive", endedByMs: Date.now() });
  // It came as far as some of a stage.
  const stage = await readSubject(api.jet, RUN.name, stageRunSubject({ ...idOf(1), stage: "build", round: 1 }), 0);
  for (const { seq } of stage.slice(1, -1)) await deleteSequence(api.jet, RUN.name, seq);
  const read = await makeMailboxes(api.jet, quiet).stage.load({ ...idOf(1), stage: "build", round: 1 });
  assert.equal(read.state.status, "finished", "whoever looks in between sees something that is over");

  const stop = new AbortController();
  const { offer, dispatcher } = dispatchAtOnce(api.jet);
  const settings = { pool: "default" };
  const effects = makeEffects(api.jet, actors, offer, settings, quiet);
  const running = runReactor({ jet: api.jet, actors, effects, dispatcher, settings, log: quiet }, stop.signal);
  await until("the rest to be removed", async () => (await logsOf(api.jet, 1)).join() === "_build");
  stop.abort();
  await running;
});

test("nothing that comes late of an archived build begins anything anew", LIMIT, async () => {
  await using api = await startApi();
  await using undo = new AsyncDisposableStack();
  await ended(api, 1);
  const stage = { ...idOf(1), stage: "build", round: 1 };
  const queuedSeq = (await readSubject(api.jet, RUN.name, stageRunSubject(stage), 0))[0]?.seq ?? 0;
  await archivePass(await archiver(api.jet, undo), NOW, NEVER);
  await archived(api, 1);
  const before = (await api.jet.jsm.streams.info(RUN.name)).state.last_seq;

  const fresh = makeMailboxes(api.jet, quiet);
  const accepted = { kind: "accept", key: "k1", push: push({ commit: commitOf(1) }), by: "queue" } as const;
  assert.equal((await fresh.repository.tell(REPOSITORY, accepted)).changed, false, "the push itself, once more");
  const told = await fresh.build.tell(idOf(1), { kind: "create", push: push(), by: "queue" });
  assert.deepEqual([told.changed, told.state.status], [false, "archived"]);
  for (const kind of ["reconsider", "overdue"] as const)
    assert.equal((await fresh.stage.tell(stage, { kind })).changed, false);
  const dead = { kind: "undeliverable", queuedSeq, why: "" } as const;
  assert.equal((await fresh.stage.tell(stage, dead)).changed, false);

  const presences = await openBucket(api.jet, EXECUTORS);
  const claimant = { jet: api.jet, presences, self: "late", holdsToken: () => false, wasCutOff: () => false };
  const command: Command = { ...stage, queuedSeq, attempt: 1, purpose: "run", work: workFor(stagePlan("build")) };
  for (const isFirst of [true, false]) assert.deepEqual(await claimStage(claimant, command, isFirst), { kind: "over" });
  assert.equal((await api.jet.jsm.streams.info(RUN.name)).state.last_seq, before, "nothing was appended");
});

test("events that a coordinator gets long after their build was archived are passed over", LIMIT, async () => {
  await using rig = await startRig();
  const { jet } = rig;
  const actors = makeMailboxes(jet, quiet);
  // As if all coordinators had been away: nobody has reacted to anything of it.
  await actors.build.tell(idOf(1), { kind: "create", push: push(), by: "queue" });
  await actors.stage.tell({ ...idOf(1), stage: PLAN_STAGE, round: 1 }, { kind: "cancel", by: "ada", why: "no" });
  await actors.build.tell(idOf(1), { kind: "abandon", round: 1, outcome: "cancelled", message: "no" });
  const done = await actors.build.tell(idOf(1), { kind: "archive", endedByMs: Date.now() });
  assert.equal(done.changed, true);

  const stop = new AbortController();
  const { offer, dispatcher } = dispatchAtOnce(jet);
  const settings = { pool: "default" };
  const effects = makeEffects(jet, actors, offer, settings, quiet);
  const clock = (): number => Date.now() + 3_600_000;
  const running = runReactor({ jet, actors, effects, dispatcher, settings, log: quiet, clock }, stop.signal);
  await until("all of it to be handled", async () => {
    const { num_pending, num_ack_pending } = await jet.jsm.consumers.info(RUN.name, "reactor");
    return num_pending === 0 && num_ack_pending === 0;
  });
  stop.abort();
  await running;
  assert.deepEqual(await logsOf(jet, 1), ["_build"]);
  assert.deepEqual(
    (await eventsOn(jet, RUN.name, buildRunSubject(idOf(1)), buildEvent)).map(({ type }) => type),
    ["archived"],
  );
  assert.equal((await jet.jsm.streams.info(COMMAND.name)).state.messages, 0, "no executor is asked for anything");
});

test("old pushes are removed but for the last one, by which numbers go on", LIMIT, async () => {
  await using rig = await startRig();
  const { jet } = rig;
  const day = 86_400_000;
  const now = Date.now();
  const accept = async (number: number, daysAgo: number): Promise<void> => {
    const atMs = now - daysAgo * day;
    const event: PushEvent = {
      type: "accepted",
      id: randomUUID(),
      atMs,
      number,
      key: `k${number}`,
      push: push(),
      by: "queue",
      since: 0,
    };
    const last = (await readSubject(jet, PUSH.name, pushSubject(REPOSITORY), 0)).at(-1)?.seq ?? 0;
    await append(jet, PUSH.name, pushSubject(REPOSITORY), event, last);
  };
  const numbers = async (): Promise<readonly number[]> =>
    (await readSubject(jet, PUSH.name, pushSubject(REPOSITORY), 0)).map(({ data }) => decode(pushEvent, data).number);
  for (const [at, daysAgo] of [120, 100, 30, 14].entries()) await accept(at + 1, daysAgo);
  await trimPushes(jet, REPOSITORY, now - 90 * day);
  assert.deepEqual(await numbers(), [3, 4]);
  // However short builds are kept: what a queue may deliver again is remembered.
  await trimPushes(jet, REPOSITORY, now);
  assert.deepEqual(await numbers(), [4]);
  await trimPushes(jet, REPOSITORY, now, now + 365 * day);
  assert.deepEqual(await numbers(), [4], "the last one stays");
  const told = await makeMailboxes(jet, quiet).repository.tell(REPOSITORY, {
    kind: "accept",
    key: "new",
    push: push(),
    by: "queue",
  });
  assert.equal(told.state.lastNumber, 5);
});
