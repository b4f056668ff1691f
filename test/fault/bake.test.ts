/**
 * An executor dies while it bakes an AMI, at each named point: what it leaves is ours by its tags, and can be removed.
 * In the whole system another one ends the stage with one AMI, and a coordinator sweeps what is left.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DescribeImagesCommand } from "@aws-sdk/client-ec2";
import { Ec2Clients } from "../../coordinator/artifacts/clients.ts";
import { groupsOf } from "../../coordinator/artifacts/groups.ts";
import { inventory } from "../../coordinator/artifacts/inventory.ts";
import { removeImage, removeLeftover } from "../../coordinator/artifacts/remove.ts";
import { BAKE_CRASH_POINTS, type CrashPoint } from "../../kit/crash-points.ts";
import { DEFAULT_SYSTEM } from "../../protocol/ami.ts";
import { type BakeRig, bakedBy, bakeRigForAll, NEEDS, T } from "../integration/executor/bake/rig.ts";
import { EC2_REGION, NOTHING_IN_EC2 } from "../support/ec2.ts";
import { Rig } from "../support/rig.ts";
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

/** What the next attempt does with what it finds. */
const TAKEN_OVER = [
  { point: "executor-bake-launched", what: "bakes again", launches: 2 },
  { point: "executor-bake-made", what: "takes the AMI", launches: 1 },
] as const satisfies readonly { readonly point: CrashPoint; readonly what: string; readonly launches: number }[];
/** Nothing has to be old; a coordinator looks when it starts. */
const SWEEPING = { TOROID_AMI_REGIONS: EC2_REGION, TOROID_AMI_SWEEP_AFTER_MINUTES: "0" };
const GONE = { status: 400, code: "InvalidInstanceID.NotFound", message: "The instance ID does not exist" };
const LIMIT = { timeout: 240_000 };
/** A lost executor is noticed when its presence has run out. */
const TAKEOVER_MS = 120_000;
const FILES = { ".toroid.yml": 'script: echo "attempt $TOROID_ATTEMPT"\nartifact: { ami: {} }\n' };

for (const { point, what, launches } of TAKEN_OVER) {
  test(`after a death at ${point} another executor ${what}, and the rest is swept`, LIMIT, async (t) => {
    if (!needs(t, NEEDS)) return;
    const { ec2, front } = bakes;
    await bakes.forget();
    await using system = await Rig.start();
    const sweeping = { ...SWEEPING, TOROID_EC2_ENDPOINT: front.endpoint };
    const coordinator = await system.coordinator(sweeping);
    const variables = await bakes.variables();
    // Packer may live on for a moment, and is to get no further than its executor.
    const held = launches > 1 ? ["CreateImage", "TerminateInstances"] : [];
    front.refuse = (action) => (held.includes(action) ? GONE : null);
    const doomed = system.executor({ ...variables, TOROID_CRASH_AT: point });
    await system.push(await system.repo(FILES));
    assert.equal((await doomed.exited).signal, "SIGKILL", "the crash point was never reached");
    front.refuse = () => null;
    system.executor(variables);

    const build = await system.ended(1, "acme/shop", TAKEOVER_MS);
    const log = await system.log(1, "build");
    assert.equal(build.outcome, "passed", `${JSON.stringify(build.stages)}\n${log}`);
    assert.match(log, /^attempt 2$/m);
    assert.equal(front.calls.filter((call) => call === "RunInstances").length, launches, log);
    assert.ok(build.artifact?.kind === "ami");
    const ami = build.artifact.amis[EC2_REGION] ?? "";
    const before = await ec2.things();
    assert.deepEqual([before.images, before.instances.length, before.keyPairs.length], [[ami], launches - 1, 1]);

    await coordinator.kill("SIGKILL");
    await system.coordinator(sweeping);
    // The key pair goes last.
    await until("the rest to be swept", async () => (await ec2.things()).keyPairs.length === 0, { withinMs: 60_000 });
    const { Images = [] } = await ec2.client().send(new DescribeImagesCommand({ ImageIds: [ami] }));
    const snapshots = (Images[0]?.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);
    assert.equal(snapshots.length, 1);
    assert.deepEqual(await ec2.things(), { ...NOTHING_IN_EC2, images: [ami], snapshots });
  });
}
