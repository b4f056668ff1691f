import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { makeMailboxes } from "../../../coordinator/mailboxes.ts";
import { makeSummaryWriter } from "../../../coordinator/projections/summary-writer.ts";
import { append, connectJet, deleteSequence, readLast, readSequence, readSubject } from "../../../kit/jetstream.ts";
import { decode } from "../../../protocol/codec.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import { pushEvent } from "../../../protocol/events.ts";
import { PLAN_STAGE } from "../../../protocol/ids.ts";
import { BUILD, PUSH, RUN } from "../../../protocol/streams.ts";
import { pushSubject, summarySubject } from "../../../protocol/subjects.ts";
import { buildSummary } from "../../../protocol/summary.ts";
import { TcpProxy } from "../../support/proxy.ts";
import { until } from "../../support/until.ts";
import { push, REPOSITORY } from "../../unit/coordinator/samples.ts";
import { eventsOn, quiet, startRig } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const SUBJECT = "toroid.run.acme__api.1._build";

/** A connection whose links can be cut. */
async function startCuttable() {
  await using undo = new AsyncDisposableStack();
  const rig = undo.use(await startRig());
  const proxy = undo.use(await TcpProxy.start({ port: rig.server.port }));
  const jet = undo.use(await connectJet({ url: `nats://127.0.0.1:${proxy.port}`, name: "cut" }));
  const kept = undo.move();
  return { ...rig, proxy, cut: jet, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const noRest = (): Promise<void> => Promise.resolve();

const publishes = (sent: Buffer): boolean =>
  sent.includes(`PUB ${SUBJECT} `) || sent.includes(`PUB ${pushSubject(REPOSITORY)} `);

// Each waits for the client to give up on an answer: side by side they take as long as one.
suite("a link that breaks", { concurrency: true }, () => {
  test("an append whose answer is lost with the link lands exactly once, and says where", LIMIT, async () => {
    await using rig = await startCuttable();
    const first = await append(rig.cut, RUN.name, SUBJECT, { id: "a" }, 0);
    assert.ok(first.kind === "appended");
    rig.proxy.cutAfter(publishes);
    const second = await append(rig.cut, RUN.name, SUBJECT, { id: "b" }, first.seq);
    assert.equal(rig.proxy.cuts, 1, "the link was never cut");
    const stored = await readSubject(rig.jet, RUN.name, SUBJECT, 0);
    assert.deepEqual(
      stored.map(({ eventId }) => eventId),
      ["a", "b"],
    );
    const [, last] = stored;
    assert.deepEqual(second, { kind: "appended", seq: last?.seq, bytes: last?.data.byteLength });
  });

  test("a summary whose link broke before the store had it is not taken for another's", LIMIT, async () => {
    await using rig = await startCuttable();
    const id = { repository: REPOSITORY, number: 1 };
    const actors = makeMailboxes(rig.jet, quiet);
    await actors.build.tell(id, { kind: "create", push: push(), by: "queue" });
    await makeSummaryWriter(rig.jet, actors, noRest).build(id);
    const [one, other] = ["one", "other"].map((stage) => ({ ...id, stage, round: 1 }));
    assert.ok(one !== undefined && other !== undefined);
    for (const stage of [one, other])
      await actors.stage.tell(stage, { kind: "close", outcome: "skipped", why: "not today" });

    rig.proxy.cutBefore((sent) => sent.includes(`PUB ${summarySubject(id)} `));
    const late = makeSummaryWriter(rig.cut, makeMailboxes(rig.cut, quiet), noRest).stage(one);
    await until("the link to be cut", () => rig.proxy.cuts === 1);
    // Both wrote on what they had read.
    await makeSummaryWriter(rig.jet, actors, noRest).stage(other);
    await late;
    const last = await readLast(rig.jet, BUILD.name, summarySubject(id));
    assert.ok(last !== null);
    const { stages } = decode(buildSummary, last.data);
    assert.deepEqual(stages.map(({ name }) => name).sort(), [PLAN_STAGE, "one", "other"]);
  });

  test("an append that lost its answer and its race is a conflict", LIMIT, async () => {
    await using rig = await startCuttable();
    const first = await append(rig.jet, RUN.name, SUBJECT, { id: "a" }, 0);
    assert.ok(first.kind === "appended");
    rig.proxy.cutAfter(publishes);
    assert.deepEqual(await append(rig.cut, RUN.name, SUBJECT, { id: "b" }, 0), { kind: "conflict" });
    assert.equal(rig.proxy.cuts, 1);
    assert.equal((await readSubject(rig.jet, RUN.name, SUBJECT, 0)).length, 1);
  });

  test("what is read while the store gives no answer may be read later: nothing is wrong with it", LIMIT, async () => {
    await using rig = await startCuttable();
    rig.proxy.deafen();
    const away = (error: unknown): boolean => error instanceof ToroidError && error.code === "TOR_NATS_UNREACHABLE";
    await Promise.all([
      assert.rejects(readLast(rig.cut, RUN.name, SUBJECT), away),
      assert.rejects(readSubject(rig.cut, RUN.name, SUBJECT, 0), away),
      assert.rejects(readSequence(rig.cut, RUN.name, 1), away),
      assert.rejects(deleteSequence(rig.cut, RUN.name, 1), away),
    ]);
  });

  test("a push is accepted once though the answer of the store is lost", LIMIT, async () => {
    await using rig = await startCuttable();
    const actors = makeMailboxes(rig.cut, quiet);
    rig.proxy.cutAfter(publishes);
    const told = await actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push(), by: "queue" });
    assert.equal(rig.proxy.cuts, 1);
    assert.deepEqual([told.changed, told.state.accepted.get("k")?.number], [true, 1]);
    const again = await actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push(), by: "queue" });
    assert.equal(again.changed, false);
    assert.equal((await eventsOn(rig.jet, PUSH.name, pushSubject(REPOSITORY), pushEvent)).length, 1);
  });

  test("a link that breaks while nothing is asked is mended without a word", LIMIT, async () => {
    await using rig = await startCuttable();
    rig.proxy.cut();
    const done = await append(rig.cut, RUN.name, SUBJECT, { id: "a" }, 0);
    assert.equal(done.kind, "appended");
    assert.equal((await readSubject(rig.cut, RUN.name, SUBJECT, 0)).length, 1);
  });

  test("a read whose answer never comes ends with an error, and the next one works", LIMIT, async () => {
    await using rig = await startCuttable();
    await append(rig.cut, RUN.name, SUBJECT, { id: "a" }, 0);
    rig.proxy.deafen();
    await assert.rejects(readSubject(rig.cut, RUN.name, SUBJECT, 0));
    rig.proxy.heal();
    assert.equal((await readSubject(rig.cut, RUN.name, SUBJECT, 0)).length, 1);
  });
});
