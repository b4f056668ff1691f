/** An executor dies while it bakes an AMI, at each named point: what it leaves is ours by its tags, and can be removed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ec2Clients } from "../../coordinator/artifacts/clients.ts";
import { groupsOf } from "../../coordinator/artifacts/groups.ts";
import { inventory } from "../../coordinator/artifacts/inventory.ts";
import { removeImage, removeLeftover } from "../../coordinator/artifacts/remove.ts";
import { BAKE_CRASH_POINTS } from "../../kit/crash-points.ts";
import { DEFAULT_SYSTEM } from "../../protocol/ami.ts";
import { type BakeRig, bakedBy, bakeRigForAll, NEEDS, T } from "../integration/executor/bake/rig.ts";
import { EC2_REGION, NOTHING_IN_EC2 } from "../support/ec2.ts";
import { needs } from "../support/skips.ts";
import { until } from "../support/until.ts";

/** What there has to be when it dies there: else the point was not where it says. */
const LEFT: Readonly<Record<(typeof BAKE_CRASH_POINTS)[number], readonly string[]>> = {
  "executor-bake-door": ["key pair", "security group"],
  "executor-bake-launched": ["instance", "key pair", "security group", "volume"],
  // The server makes it at once, so that its instance may be gone.
  "executor-bake-imaging": ["image", "key pair", "security group"],
  "executor-bake-made": ["image", "key pair", "security group"],
};
const PLACE = { system: DEFAULT_SYSTEM, regions: [EC2_REGION] };

let bakes: BakeRig;
bakeRigForAll({ "README.md": "hello\n" }, (rig) => {
  bakes = rig;
});

for (const point of BAKE_CRASH_POINTS) {
  test(`an executor that dies at ${point} leaves nothing that is not known by its tags`, T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const { rig, ec2, front } = bakes;
    await bakes.forget();
    Object.assign(process.env, ec2.env);
    using clients = new Ec2Clients(front.endpoint);
    const more = { TOROID_POOL: point, TOROID_CRASH_AT: point };
    const executor = rig.executor(point, await bakes.variables(more));
    const id = await rig.queue(await rig.stageWork(bakedBy(["true"])), point);
    await assert.rejects(executor.ended, /SIGKILL/);
    const left = await inventory(clients, PLACE);
    const kinds = new Set<string>(left.map(({ kind }) => kind));
    assert.deepEqual(
      LEFT[point].filter((kind) => !kinds.has(kind)),
      [],
      [...kinds].join(),
    );
    const [bake, ...others] = groupsOf(left);
    assert.deepEqual([bake?.origin.repository, bake?.origin.number, others], [id.repository, id.number, []]);
    // Packer lives for as long as its sandbox does without its executor; what it makes meanwhile has the tags as well.
    await until("everything to be removed", async () => {
      for (const thing of await inventory(clients, PLACE))
        await (thing.kind === "image" ? removeImage(clients, thing) : removeLeftover(clients, thing));
      const things = await ec2.things();
      return JSON.stringify(things) === JSON.stringify(NOTHING_IN_EC2) ? true : undefined;
    });
    assert.deepEqual(await ec2.things(), NOTHING_IN_EC2);
  });
}
