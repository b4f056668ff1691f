/** The example, as it is in `examples/rails-to-ami`: from a push to an AMI, to stage, and to prod and back. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { chown, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import type { BuildSummary } from "../../protocol/summary.ts";
import { Browser } from "../support/browser.ts";
import { BASE_AMI, EC2_CREDENTIALS, EC2_REGION, Ec2Server } from "../support/ec2.ts";
import { Ec2Front } from "../support/ec2-front.ts";
import { Instance } from "../support/instance.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../support/leaks.ts";
import { programPath } from "../support/programs.ts";
import type { Files, GitRepo } from "../support/repo.ts";
import { Rig } from "../support/rig.ts";
import { missing, needs } from "../support/skips.ts";
import { until } from "../support/until.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const EXAMPLE = join(ROOT, "examples", "rails-to-ami");
const SANDBOX = join(ROOT, "sandbox", "build", "toroid-sandbox");
const NEEDS = {
  root: true,
  path: SANDBOX,
  program: ["git", "packer", "ruby"],
  ec2: true,
  aws: true,
  shown: true,
} as const;
const LIMIT = { timeout: 280_000 };
const NAME = "acme/shop";
/** Of an executor that nobody named. */
const OWN_UID = 65_520;
const run = promisify(execFile);

const cleanup = new AsyncDisposableStack();
let leaks: Snapshot;
let rig: Rig;
let ec2: Ec2Server;
let repo: GitRepo;
let address: string;

before(async () => {
  leaks = await snapshot();
  if (missing(NEEDS) !== undefined) return;
  ec2 = cleanup.use(await Ec2Server.start());
  const front = cleanup.use(await Ec2Front.start(ec2));
  const instance = cleanup.use(await Instance.start(SANDBOX, () => front.keys));
  rig = cleanup.use(await Rig.start());
  repo = await rig.repo(await exampleFiles());
  address = join(rig.dir.path, "git", NAME);
  await mkdir(dirname(address), { recursive: true });
  await symlink(repo.path, address);
  await rig.coordinator({ TOROID_EC2_ENDPOINT: front.endpoint });
  rig.executor({
    TOROID_SECRETS: await secretsDir(),
    TOROID_SECRETS_FROM: `${dirname(dirname(address))}/`,
    TOROID_BAKE_REGION: EC2_REGION,
    TOROID_BAKE_ENDPOINT: front.endpoint,
    TOROID_BAKE_ACCESS_KEY_ID: EC2_CREDENTIALS.accessKeyId,
    TOROID_BAKE_SECRET_ACCESS_KEY: EC2_CREDENTIALS.secretAccessKey,
    TOROID_BAKE_SOURCE: await bakeSource(instance.port),
  });
});

after(async () => {
  await cleanup.disposeAsync();
  await assertNoLeaks(leaks);
});

/** As they are, but for where this machine's cloud and its command line are. */
async function exampleFiles(): Promise<Files> {
  const files: Record<string, Buffer | string> = {};
  for (const path of globSync(["**/*", ".toroid.yml", ".packer"], { cwd: EXAMPLE })) {
    const found = await stat(join(EXAMPLE, path));
    if (!found.isFile()) continue;
    files[(found.mode & 0o100) === 0 ? path : `${path}*`] = await readFile(join(EXAMPLE, path));
  }
  const file = String(files[".toroid.yml"]);
  const here = `AWS_ENDPOINT_URL: "${ec2.endpoint}", AWS_CLI: "${programPath("aws")}"`;
  const told = file.replace("env: { RAILS_ENV: test,", `env: { ${here}, RAILS_ENV: test,`);
  assert.notEqual(told, file);
  return { ...files, ".toroid.yml": told };
}

async function secretsDir(): Promise<string> {
  const dir = join(rig.dir.path, "secrets");
  for (const environment of ["stage", "prod"]) {
    const place = join(dir, NAME, environment);
    await mkdir(place, { recursive: true, mode: 0o700 });
    await writeFile(join(place, "AWS_ACCESS_KEY_ID"), `AKIA${environment.toUpperCase()}\n`, { mode: 0o600 });
    await writeFile(join(place, "AWS_SECRET_ACCESS_KEY"), `the key to ${environment}\n`, { mode: 0o600 });
  }
  for (const path of ["", ...globSync("**/*", { cwd: dir })]) await chown(join(dir, path), OWN_UID, OWN_UID);
  return dir;
}

async function bakeSource(port: number): Promise<string> {
  const path = join(rig.dir.path, "bake-source.json");
  const attributes = {
    source_ami: BASE_AMI,
    instance_type: "t3.micro",
    ssh_host: "127.0.0.1",
    ssh_port: port,
    ssh_username: "root",
    temporary_security_group_source_cidrs: ["10.20.0.0/16"],
  };
  await writeFile(path, JSON.stringify(attributes), { mode: 0o644 });
  return path;
}

async function push(delivery: string): Promise<void> {
  const payload = await repo.pushPayload({ after: await repo.head(), fullName: NAME });
  payload.repository.clone_url = address;
  await rig.queue.send(payload, { "X-GitHub-Event": "push", "X-GitHub-Delivery": delivery });
}

/** Waits until `stage` of a build has ended, and gives its log when it did not pass. */
async function passed(number: number, stage: string, round = 1): Promise<BuildSummary> {
  let seen = "";
  const build = await until(
    `${stage} of #${number} to end`,
    async () => {
      const found = await rig.build(number, NAME).catch(() => null);
      const now = (found?.stages ?? []).map(({ name, round: of, status }) => `${name} ${of} ${status}`).join(", ");
      // A run that says nothing for long is taken for one that hangs.
      if (now !== seen) console.log(`#${number}: ${now}`);
      seen = now;
      const one = found?.stages.find((it) => it.name === stage && it.round === round);
      // Of one that goes back, the end of before is seen for a moment.
      const isOver = (one?.outcome ?? null) !== null || (round === 1 && found?.status === "finished");
      return found !== null && isOver ? found : undefined;
    },
    { withinMs: 200_000 },
  );
  const first = build.stages.find(({ name, outcome }) => name === "build" && outcome !== "passed");
  assert.equal(first, undefined, `${first?.message}\n${await rig.log(number, "build", "", NAME)}`);
  const ended = build.stages.find((it) => it.name === stage && it.round === round);
  assert.equal(
    ended?.outcome,
    "passed",
    `${stage}: ${ended?.message ?? build.message}\n${await rig.log(number, stage, `?round=${round}`, NAME)}`,
  );
  return build;
}

/** Opened before there is one. */
async function assertOnPage(t: TestContext): Promise<void> {
  if (!needs(t, { program: ["chromium"] })) return;
  await using browser = await Browser.start();
  await until("#1 to be there", () => rig.build(1, NAME), { withinMs: 60_000 });
  await using tab = await browser.open(new URL(`/builds/${NAME}/1`, rig.url).href);
  await passed(1, "build");
  const amis = tab.page.getByLabel("AMIs");
  await amis.waitFor();
  const said = [await amis.getByRole("term").allTextContents(), await amis.getByRole("definition").allTextContents()];
  assert.deepEqual(said, [[EC2_REGION], [bakedBy(await rig.build(1, NAME))]]);
  assert.deepEqual(tab.complaints, []);
}

async function approve(number: number): Promise<void> {
  const isAsked = async (): Promise<boolean> => {
    const prod = (await rig.build(number, NAME)).stages.find(({ name }) => name === "prod");
    return prod?.waiting?.includes("approval by `@acme/release`") === true;
  };
  await until(`#${number} to wait for approval`, isAsked, { withinMs: 60_000 });
  const answer = await fetch(new URL(`/api/v1/environments/${NAME}/prod/approvals`, rig.url), {
    method: "POST",
    headers: { "content-type": "application/json", "toroid-user": "grace" },
    body: JSON.stringify({ build: number, team: "@acme/release" }),
  });
  assert.ok(answer.ok, await answer.text());
}

function bakedBy(build: BuildSummary): string {
  const { artifact } = build;
  assert.ok(artifact?.kind === "ami");
  const ami = artifact.amis[EC2_REGION];
  assert.ok(ami !== undefined);
  return ami;
}

/** What the cloud says, through the command line that the example uses. */
async function aws(...words: readonly string[]): Promise<unknown> {
  const env = { ...process.env, ...ec2.env };
  const { stdout } = await run(programPath("aws") ?? "", [...words, "--output", "json"], { env });
  return JSON.parse(stdout);
}

/** The AMI of an environment by its stack's parameters, and by the launch template that its instances are made of. */
async function amisOf(environment: string): Promise<readonly unknown[]> {
  const stack = ["--stack-name", `shop-${environment}`];
  const parameter = "Stacks[0].Parameters[?ParameterKey=='AmiId'].ParameterValue | [0]";
  const resource = ["--logical-resource-id", "Template", "--query", "StackResourceDetail.PhysicalResourceId"];
  const template = String(await aws("cloudformation", "describe-stack-resource", ...stack, ...resource));
  const version = ["--versions", "$Latest", "--query", "LaunchTemplateVersions[0].LaunchTemplateData.ImageId"];
  return [
    await aws("cloudformation", "describe-stacks", ...stack, "--query", parameter),
    await aws("ec2", "describe-launch-template-versions", "--launch-template-id", template, ...version),
  ];
}

test("the AMI that was baked goes to stage, to prod when somebody agrees, and back", LIMIT, async (t) => {
  if (!needs(t, NEEDS)) return;
  await push("one");
  await t.test("its page names the AMI by itself", LIMIT, assertOnPage);
  const first = bakedBy(await passed(1, "stage"));
  assert.deepEqual(await amisOf("stage"), [first, first]);
  await assert.rejects(amisOf("prod"), /Stack with id shop-prod does not exist/);
  await approve(1);
  await passed(1, "prod");
  assert.deepEqual(await amisOf("prod"), [first, first]);

  await repo.commit({ files: { "app/assets/shop.css": "h1 { color: crimson; }\n" }, message: "another colour" });
  await push("two");
  const second = bakedBy(await passed(2, "stage"));
  assert.notEqual(second, first);
  assert.deepEqual(
    [await amisOf("stage"), await amisOf("prod")],
    [
      [second, second],
      [first, first],
    ],
  );
  await approve(2);
  const both = await passed(2, "prod");
  assert.deepEqual(await amisOf("prod"), [second, second]);
  const prod = both.stages.find(({ name }) => name === "prod");
  assert.deepEqual(prod?.outputs, { ami: second, stack: "shop-prod" });
  assert.match(await rig.log(2, "prod", "", NAME), new RegExp(`^shop-prod: ${first} -> ${second}$`, "m"));

  await rig.post(`/api/v1/environments/${NAME}/prod/rollback`, { reason: "the colour" });
  await passed(1, "prod", 2);
  assert.deepEqual(
    [await amisOf("stage"), await amisOf("prod")],
    [
      [second, second],
      [first, first],
    ],
  );

  const { images, keyPairs, securityGroups } = await ec2.things();
  assert.deepEqual(
    { images, keyPairs, securityGroups },
    { images: [first, second].toSorted(), keyPairs: [], securityGroups: [] },
  );
  await until("the queue to be empty", async () => {
    const { waiting, inFlight } = await rig.queue.counts();
    return waiting + inFlight === 0;
  });
});
