/** An executor beside coordinators of another version: refused with what to do, or leaving to others what it cannot read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { declareSpoken, readSpoken } from "../../../kit/topology.ts";
import { encode } from "../../../protocol/codec.ts";
import { spokenBy } from "../../../protocol/pairing.ts";
import { COMMAND, executorConsumer } from "../../../protocol/streams.ts";
import { commandSubject } from "../../../protocol/subjects.ts";
import { PROTOCOL_VERSION } from "../../../protocol/versions.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { NEEDS, type Rig, rigForAll } from "./rig.ts";

const T = { timeout: 90_000 };
const LONG = { withinMs: 60_000 };
const NEXT = PROTOCOL_VERSION + 1;

let rig: Rig;
rigForAll((made) => {
  rig = made;
});

test(
  "a command of a newer version is given back, and nothing more is asked for until there may be another",
  T,
  async (t) => {
    if (!needs(t, NEEDS)) return;
    await using _executor = rig.executor("older", { TOROID_POOL: "older", TOROID_SLOTS: "1" });
    await until("it to be there", async () => (await rig.presences()).some(({ pool }) => pool === "older"), LONG);
    const subject = commandSubject("older", "work", "acme/api");
    await rig.jet.js.publish(subject, encode({ v: NEXT, what: "nobody knows yet" }));
    const shown = await until(
      "it to say so",
      async () => (await rig.presences()).find(({ pool, draining }) => pool === "older" && draining),
      LONG,
    );
    assert.match(
      shown.why,
      new RegExp(`of version ${NEXT} of the protocol, and this Toroid knows ${PROTOCOL_VERSION}`),
    );
    const { name } = executorConsumer("older", "work");
    const queue = await rig.jet.jsm.consumers.info(COMMAND.name, name);
    // It waits for somebody else, and was not asked for again and again.
    assert.equal(await rig.commandsLeft("older"), 1);
    assert.ok(queue.delivered.consumer_seq <= 2, `${queue.delivered.consumer_seq} deliveries`);
  },
);

test("an executor that does not fit says what to upgrade, ends, and is in the list for a while", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  await declareSpoken(rig.jet, { ...spokenBy("9.9.9"), understood: NEXT, commands: NEXT });
  const why = `send commands of version ${NEXT} of the protocol, and this executor \\(Toroid [0-9.]+\\) understands ${PROTOCOL_VERSION} at most: upgrade the executor`;
  await assert.rejects(
    rig.executor("refused", { TOROID_POOL: "refused" }).ended,
    new RegExp(`\\(Toroid 9\\.9\\.9\\) ${why}`),
  );
  const shown = (await rig.presences()).find(({ pool }) => pool === "refused");
  assert.match(shown?.why ?? "", new RegExp(why));
  assert.equal(shown?.draining, true);
  // An older coordinator that starts again takes nothing back.
  await declareSpoken(rig.jet, spokenBy("0.0.1"));
  assert.equal((await readSpoken(rig.jet))?.toroid, "9.9.9");
});
