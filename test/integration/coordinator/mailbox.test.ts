import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import type { LaneCommand } from "../../../coordinator/actors/environment.ts";
import { ACCEPTED_KEPT } from "../../../coordinator/actors/repository.ts";
import { makeMailboxes } from "../../../coordinator/mailboxes.ts";
import { append, connectJet, type Jet, readLast, readSubject, type Stored } from "../../../kit/jetstream.ts";
import { findNatsServer, startNatsServer } from "../../../kit/nats-server.ts";
import { ensureTopology } from "../../../kit/topology.ts";
import { dispositionOf, ToroidError } from "../../../protocol/errors.ts";
import { pushEvent } from "../../../protocol/events.ts";
import { LANE, PUSH, RUN } from "../../../protocol/streams.ts";
import { buildRunSubject, laneSubject, pushSubject } from "../../../protocol/subjects.ts";
import { NatsServer } from "../../support/nats.ts";
import { tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";
import { laneEntry, planWith, push, REPOSITORY, source, stagePlan } from "../../unit/coordinator/samples.ts";
import { eventsOn, quiet, type Rig, STORE_BYTES, startRig } from "./rig.ts";

const CACHE = join(import.meta.dirname, "..", "..", "..", ".toroid", "cache");
const connz = z.object({ connections: z.array(z.object({ name: z.string(), subscriptions: z.number() })) });

const LIMIT = { timeout: 60_000 };
const BUILD = { repository: REPOSITORY, number: 1 };
const PROD = { repository: REPOSITORY, environment: "prod" };

/** Mailboxes of several coordinators on connections of their own. */
async function coordinators(rig: Rig, count: number, undo: AsyncDisposableStack) {
  const jets = await Promise.all(
    Array.from({ length: count }, async (_, at) => undo.use(await connectJet({ url: rig.server.url, name: `c${at}` }))),
  );
  return jets.map((jet) => makeMailboxes(jet, quiet));
}

test("coordinators that accept the same pushes at once give each one number, without gaps", LIMIT, async () => {
  await using rig = await startRig();
  await using undo = new AsyncDisposableStack();
  const all = await coordinators(rig, 4, undo);
  const keys = Array.from({ length: 40 }, (_, at) => `push ${at}`);
  const told = await Promise.all(
    all.flatMap((actors) =>
      keys.map(async (key) => {
        const done = await actors.repository.tell(REPOSITORY, { kind: "accept", key, push: push(), by: "queue" });
        return { key, number: done.state.accepted.get(key)?.number, changed: done.changed };
      }),
    ),
  );
  const events = await eventsOn(rig.jet, PUSH.name, pushSubject(REPOSITORY), pushEvent);
  assert.deepEqual(
    events.map(({ number }) => number),
    keys.map((_, at) => at + 1),
  );
  const numbers = new Map(events.map(({ key, number }) => [key, number]));
  for (const { key, number } of told) assert.equal(number, numbers.get(key));
  assert.equal(told.filter(({ changed }) => changed).length, keys.length, "each was news to exactly one");
});

test("a slow answer does not make a coordinator forget what it learnt meanwhile", LIMIT, async () => {
  await using rig = await startRig();
  const answers = Promise.withResolvers<void>();
  const slow = makeMailboxes(holdingFirstRead(rig.jet, answers.promise), quiet);
  const other = makeMailboxes(rig.jet, quiet);
  await other.build.tell(BUILD, { kind: "create", push: push(), by: "queue" });
  const first = slow.build.load(BUILD);
  const plan = planWith(stagePlan("one"));
  const { seq } = await other.build.tell(BUILD, { kind: "plan", round: 1, source: source(), plan });
  assert.equal((await slow.build.load(BUILD)).seq, seq);
  answers.resolve();
  assert.ok((await first).seq < seq, "it was asked for before the plan");
  assert.equal(slow.build.known(BUILD)?.seq, seq);
  assert.equal((await slow.build.load(BUILD, 1)).state.status, "running");
});

/** The same connection, but what the first read of a log finds is heard of only after `release`. */
function holdingFirstRead(jet: Jet, release: Promise<void>): Jet {
  const { direct } = jet.jsm;
  let held = false;
  const getBatch: typeof direct.getBatch = (stream, query) => {
    const { callback } = query;
    if (held || callback === undefined) return direct.getBatch(stream, query);
    held = true;
    const late = async (...said: Parameters<typeof callback>): Promise<void> => {
      await release;
      callback(...said);
    };
    return direct.getBatch(stream, { ...query, callback: (...said) => void late(...said) });
  };
  const jsm = Object.create(jet.jsm, { direct: { value: Object.create(direct, { getBatch: { value: getBatch } }) } });
  return Object.create(jet, { jsm: { value: jsm } });
}

test(
  "a coordinator that comes new to a busy repository reads what matters of its log, and numbers go on",
  LIMIT,
  async () => {
    await using rig = await startRig();
    const [first, later] = [makeMailboxes(rig.jet, quiet), makeMailboxes(rig.jet, quiet)];
    const accept = (key: string) => ({ kind: "accept", key, push: push(), by: "queue" }) as const;
    for (let at = 1; at <= ACCEPTED_KEPT + 500; at += 1) await first.repository.tell(REPOSITORY, accept(`push ${at}`));
    // As if everything that does not matter were gone: nobody may miss it.
    const since = (await first.repository.load(REPOSITORY)).state.accepted.get("push 501")?.seq ?? 0;
    await rig.jet.jsm.streams.purge(PUSH.name, { filter: pushSubject(REPOSITORY), seq: since - 1 });

    const again = await later.repository.tell(REPOSITORY, accept("push 501"));
    assert.deepEqual([again.changed, again.state.accepted.size], [false, ACCEPTED_KEPT]);
    const next = await later.repository.tell(REPOSITORY, accept("another"));
    assert.deepEqual([next.changed, next.state.lastNumber], [true, ACCEPTED_KEPT + 501]);
  },
);

test("a crowd that settles the stages of one build at once loses none of them", LIMIT, async () => {
  await using rig = await startRig();
  await using undo = new AsyncDisposableStack();
  const [one, other] = await coordinators(rig, 2, undo);
  assert.ok(one !== undefined && other !== undefined);
  const names = Array.from({ length: 120 }, (_, at) => `build N=${at}`);
  await one.build.tell(BUILD, { kind: "create", push: push(), by: "queue" });
  const plan = planWith(...names.map((name) => stagePlan(name)));
  await one.build.tell(BUILD, { kind: "plan", round: 1, source: source(), plan });
  const settle = (stage: string) =>
    ({ kind: "settle", stage, round: 1, outcome: "passed", message: "", outputs: {}, artifact: null }) as const;
  await Promise.all([one, other].flatMap((actors) => names.map((name) => actors.build.tell(BUILD, settle(name)))));
  await one.build.tell(BUILD, { kind: "conclude" });
  const { state } = await other.build.load(BUILD);
  assert.deepEqual(state.settled.map(({ stage }) => stage).sort(), [...names].sort());
  assert.equal(state.outcome, "passed");
});

test("a decision that nothing is to be done is taken on what is stored, not on what is remembered", LIMIT, async () => {
  await using rig = await startRig();
  const [early, late] = [makeMailboxes(rig.jet, quiet), makeMailboxes(rig.jet, quiet)];
  const enter: LaneCommand = { kind: "enter", entry: laneEntry(1) };
  await early.environment.tell(PROD, enter);
  await late.environment.tell(PROD, { kind: "admit" });
  // Early still thinks that 1 waits, and that nothing can leave.
  const leave: LaneCommand = { kind: "leave", number: 1, stage: "prod", round: 1, outcome: "passed", artifact: null };
  const done = await early.environment.tell(PROD, leave);
  assert.equal(done.changed, true);
  assert.equal(done.state.live?.number, 1);
});

test("a refusal is taken on what is stored, too, and names its code", LIMIT, async () => {
  await using rig = await startRig();
  const [early, late] = [makeMailboxes(rig.jet, quiet), makeMailboxes(rig.jet, quiet)];
  const cancel = { kind: "cancel", by: "ada", why: "no" } as const;
  await assert.rejects(
    early.build.tell(BUILD, cancel),
    (error) => error instanceof ToroidError && error.code === "TOR_NOT_FOUND",
  );
  await late.build.tell(BUILD, { kind: "create", push: push(), by: "queue" });
  assert.equal((await early.build.tell(BUILD, cancel)).changed, true);
});

test("a lane is loaded by its last message alone, whatever became of those before", LIMIT, async () => {
  await using rig = await startRig();
  const writer = makeMailboxes(rig.jet, quiet).environment;
  for (let number = 1; number <= 20; number += 1) {
    await writer.tell(PROD, { kind: "enter", entry: laneEntry(number) });
    await writer.tell(PROD, { kind: "admit" });
    await writer.tell(PROD, { kind: "leave", number, stage: "prod", round: 1, outcome: "passed", artifact: null });
  }
  await writer.tell(PROD, { kind: "enter", entry: laneEntry(21) });
  const { state, seq } = await writer.tell(PROD, { kind: "admit" });
  await rig.jet.jsm.streams.purge(LANE.name, { filter: laneSubject(PROD), keep: 1 });
  const fresh = await makeMailboxes(rig.jet, quiet).environment.load(PROD);
  assert.deepEqual(fresh, { state, seq });
  assert.equal(fresh.state.inFlight?.fence, fresh.state.fence);
});

test("what is observed as it is delivered is what would be read", LIMIT, async () => {
  await using rig = await startRig();
  const writer = makeMailboxes(rig.jet, quiet);
  await writer.build.tell(BUILD, { kind: "create", push: push(), by: "queue" });
  await writer.build.tell(BUILD, { kind: "plan", round: 1, source: source(), plan: planWith(stagePlan("build")) });
  await writer.build.tell(BUILD, { kind: "cancel", by: "ada", why: "no" });
  await writer.environment.tell(PROD, { kind: "enter", entry: laneEntry(1) });
  await writer.environment.tell(PROD, { kind: "admit" });
  const observer = makeMailboxes(rig.jet, quiet);
  const reader = makeMailboxes(rig.jet, quiet);
  let before = 0;
  for (const { seq, data } of await readSubject(rig.jet, RUN.name, buildRunSubject(BUILD), 0)) {
    observer.build.observe(BUILD, seq, () => before, observer.build.eventOf(seq, data), data);
    before = seq;
  }
  assert.deepEqual(await observer.build.load(BUILD, before), await reader.build.load(BUILD));
  const last = await readLast(rig.jet, LANE.name, laneSubject(PROD));
  assert.ok(last !== null);
  observer.environment.observe(
    PROD,
    last.seq,
    () => null,
    observer.environment.eventOf(last.seq, last.data),
    last.data,
  );
  assert.deepEqual(await observer.environment.load(PROD, last.seq), await reader.environment.load(PROD));
});

test(
  "an event is the same whether this process appended it or has to decode it, and however often it comes",
  LIMIT,
  async () => {
    await using rig = await startRig();
    const writer = makeMailboxes(rig.jet, quiet);
    const other = makeMailboxes(rig.jet, quiet);
    const settle = { kind: "settle", stage: "build", round: 1, outcome: "passed", message: "" } as const;
    await writer.build.tell(BUILD, { kind: "create", push: push(), by: "queue" });
    await writer.build.tell(BUILD, { kind: "plan", round: 1, source: source(), plan: planWith(stagePlan("build")) });
    await writer.build.tell(BUILD, { ...settle, outputs: { A: "1" }, artifact: null });
    await writer.environment.tell(PROD, { kind: "enter", entry: laneEntry(1) });
    const builds = await readSubject(rig.jet, RUN.name, buildRunSubject(BUILD), 0);
    assert.equal(builds.length, 3);
    const said = (event: object): unknown => JSON.parse(JSON.stringify({ ...event, v: undefined }));
    for (const { seq, data } of builds) {
      const mine = said(writer.build.eventOf(seq, data));
      assert.deepEqual(said(other.build.eventOf(seq, data)), mine);
      assert.deepEqual(said(writer.build.eventOf(seq, data)), mine);
    }
    const [entered] = await readSubject(rig.jet, LANE.name, laneSubject(PROD), 0);
    assert.ok(entered !== undefined);
    const mine = said(writer.environment.eventOf(entered.seq, entered.data));
    assert.deepEqual(said(other.environment.eventOf(entered.seq, entered.data)), mine);
  },
);

test("what is observed out of order is read instead", LIMIT, async () => {
  await using rig = await startRig();
  const writer = makeMailboxes(rig.jet, quiet);
  await writer.build.tell(BUILD, { kind: "create", push: push(), by: "queue" });
  await writer.build.tell(BUILD, { kind: "plan", round: 1, source: source(), plan: planWith(stagePlan("build")) });
  await writer.build.tell(BUILD, { kind: "cancel", by: "ada", why: "no" });
  const stored = await readSubject(rig.jet, RUN.name, buildRunSubject(BUILD), 0);
  const observer = makeMailboxes(rig.jet, quiet);
  const [first, second, third] = stored;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  const observe = ({ seq, data }: Stored, previousSeq: number): void =>
    observer.build.observe(BUILD, seq, () => previousSeq, observer.build.eventOf(seq, data), data);
  observe(third, second.seq);
  observe(first, 0);
  observe(third, second.seq);
  observe(first, 0);
  const { state, seq } = await observer.build.load(BUILD, third.seq);
  assert.equal(seq, third.seq);
  assert.equal(state.cancel?.by, "ada");
});

test("a full store refuses an event with a sentence that says what is full", LIMIT, async () => {
  await using server = await NatsServer.start();
  await using jet = await connectJet({ url: server.url, name: "test" });
  await ensureTopology(jet, [], { storeBytes: 1024 * 1024, replicas: 1 });
  const fill = async (): Promise<void> => {
    const filler = { type: "cancelRequested", atMs: 1, by: "ada", why: "x".repeat(20_000) };
    for (let at = 0; at < 200; at += 1) {
      await append(jet, RUN.name, `toroid.run.acme__api.${at + 1}._build`, { id: `e${at}`, ...filler }, 0);
    }
  };
  await assert.rejects(fill(), (error) => {
    assert.ok(error instanceof ToroidError, String(error));
    assert.equal(error.code, "TOR_DISK_FULL");
    assert.match(error.message, /TOROID_RUN is full.*TOROID_STORE_BYTES/);
    assert.equal(dispositionOf(error), "retry", "the event is not lost: it is tried again");
    return true;
  });
});

test("an event that cannot be read stops its actor, and no other", LIMIT, async () => {
  await using rig = await startRig();
  await rig.jet.js.publish(buildRunSubject(BUILD), "not ours");
  const actors = makeMailboxes(rig.jet, quiet);
  await assert.rejects(
    actors.build.load(BUILD),
    (error) => error instanceof ToroidError && error.code === "TOR_DECODE",
  );
  const other = { ...BUILD, number: 2 };
  assert.equal((await actors.build.tell(other, { kind: "create", push: push(), by: "queue" })).changed, true);
});

test("reading an actor leaves nothing behind at the server", LIMIT, async () => {
  await using dir = await tempDir();
  const { path: binary } = await findNatsServer(CACHE, () => {});
  await using server = await startNatsServer({
    binary,
    storeDir: dir.path,
    host: "127.0.0.1",
    port: 0,
    syncAlways: false,
    maxFileBytes: 2 * STORE_BYTES,
    monitorPort: 0,
  });
  await using jet = await connectJet({ url: server.url, name: "reader" });
  await ensureTopology(jet, [], { storeBytes: STORE_BYTES, replicas: 1 });
  const actors = makeMailboxes(jet, quiet);
  const subscriptions = async (): Promise<number> => {
    const answer = await fetch(`${server.monitorUrl}/connz`);
    const { connections } = connz.parse(await answer.json());
    return connections.find(({ name }) => name === "reader")?.subscriptions ?? Number.NaN;
  };
  await actors.build.tell(BUILD, { kind: "create", push: push(), by: "queue" });
  const before = await subscriptions();
  for (let times = 0; times < 50; times += 1) {
    await actors.build.load(BUILD);
    await actors.build.load({ ...BUILD, number: 99 });
  }
  // The last one's end may still be on its way to the server.
  await until("every subscription to be gone", async () => (await subscriptions()) <= before);
});
