import assert from "node:assert/strict";
import { test } from "node:test";
import { makeMailboxes } from "../../../coordinator/mailboxes.ts";
import { followLanes } from "../../../coordinator/projections/lanes.ts";
import { makeLogger } from "../../../kit/log.ts";
import { EVERY } from "../../../protocol/ids.ts";
import { REPOSITORY } from "../../unit/coordinator/samples.ts";
import { quiet, startRig } from "./rig.ts";

test("lanes that are there when a coordinator starts are read without a complaint", { timeout: 60_000 }, async () => {
  await using rig = await startRig();
  const actors = makeMailboxes(rig.jet, quiet);
  const pause = { kind: "pause", by: "ada", why: "a fair", untilMs: null } as const;
  for (const environment of ["prod", EVERY]) {
    await actors.environment.tell({ repository: REPOSITORY, environment }, pause);
  }
  const complaints: unknown[] = [];
  const log = Object.assign(makeLogger("test", "fatal"), { error: (fields: unknown) => void complaints.push(fields) });
  const stop = new AbortController();
  const lanes = await followLanes(rig.jet, stop.signal, log);
  stop.abort();
  assert.deepEqual(complaints, []);
  assert.equal(lanes.list(REPOSITORY)[0]?.paused?.why, "a fair");
});
