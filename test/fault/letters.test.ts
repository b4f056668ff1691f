/** A coordinator dies while it keeps or replays a dead letter: nothing is lost, and nothing comes of it twice. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type LetterSummary, letterList, letterSummary } from "../../protocol/letter.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../support/leaks.ts";
import { Rig } from "../support/rig.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 90_000 };
const LETTERS = "/api/v1/dead-letters";
const REMOTE = "https://git.example/acme/api.git";

let leaks: Snapshot;
let rig: Rig;

before(async () => {
  leaks = await snapshot();
  rig = await Rig.start();
});

after(async () => {
  await rig?.[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

async function letters(state = "all"): Promise<readonly LetterSummary[]> {
  return letterList.parse(await rig.get(`${LETTERS}?limit=100&state=${state}`)).letters;
}

test("one that dies with a letter kept and its message in the queue has lost nothing", LIMIT, async () => {
  const doomed = await rig.coordinator({ TOROID_CRASH_AT: "coordinator-after-letter" });
  await rig.queue.send("no JSON");
  assert.equal((await doomed.exited).signal, "SIGKILL", "the crash point was never reached");
  await rig.coordinator();
  assert.deepEqual(
    (await letters()).map(({ body, state }) => [body, state]),
    [["no JSON", "open"]],
  );
  assert.equal((await rig.queue.counts()).inFlight, 1);
});

for (const point of ["coordinator-after-accepted", "coordinator-after-replay"]) {
  test(`a replay whose coordinator dies at ${point} is done once, by another`, LIMIT, async () => {
    const repository = `acme/${point}`;
    await rig.queue.send({ toroid: 1, repository, ref: "main", key: point });
    const { id } = await until("the letter", async () =>
      (await letters("open")).find(({ why }) => why.includes(repository)),
    );
    await rig.post("/api/v1/builds", { repository, ref: "main", remote: REMOTE, key: `first-${point}` });
    await using others = new AsyncDisposableStack();
    // Whichever is free does it, so that all there are have to die there.
    for (const one of rig.daemons) await one.kill();
    const doomed = others.use(await rig.coordinator({ TOROID_CRASH_AT: point }));
    const url = await doomed.url;
    const asked = await fetch(`${url}${LETTERS}/${id}/replay`, { method: "POST" }).catch(() => null);
    assert.equal(asked, null, "nobody answers any more");
    assert.equal((await doomed.exited).signal, "SIGKILL", "the crash point was never reached");
    await rig.coordinator();
    const letter = await until("the replay to end", async () => {
      const now = letterSummary.parse(await rig.get(`${LETTERS}/${id}`));
      return now.state === "replayed" ? now : null;
    });
    assert.deepEqual(letter.build, { repository, number: 2 });
    assert.equal(letterSummary.parse(await rig.post(`${LETTERS}/${id}/replay`, {})).state, "replayed");
    await until("both builds to be listed", async () => (await rig.builds(repository)).length === 2);
  });
}

test("the message that came again then, after half a minute, is the same letter", LIMIT, async () => {
  const isEmpty = async (): Promise<boolean> => {
    const { waiting, inFlight } = await rig.queue.counts();
    return waiting + inFlight === 0;
  };
  await until("the message to leave the queue", isEmpty, { withinMs: 60_000 });
  const same = (await letters()).filter(({ body }) => body === "no JSON");
  assert.deepEqual(
    same.map(({ state, history }) => [state, history.length]),
    [["open", 1]],
  );
});
