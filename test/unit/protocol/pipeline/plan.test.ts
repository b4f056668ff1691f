import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { frame } from "../../../../protocol/pipeline/frame.ts";
import { lint } from "../../../../protocol/pipeline/plan.ts";
import { PUSH, planned, stageOf } from "./support.ts";

const ENVIRONMENTS = "dev: { run: a }\n  stage: { run: b }\n  prod: { run: c }\n";

/** Name, needs, join and whether it comes by itself, of each environment. */
function order(text: string): readonly string[] {
  return planned(`script: make\n${text}`)
    .stages.filter(({ environment }) => environment !== null)
    .map(
      ({ name, needs, join, automatic }) =>
        `${name} ${automatic ? "after" : "by request after"} ${join} ${needs.join(", ")}`,
    );
}

function example(name: string): string {
  return readFileSync(new URL(`examples/${name}.yml`, import.meta.url), "utf8");
}

test("the smallest library is one build stage with every default filled in", () => {
  assert.deepEqual(planned(example("library")), {
    kind: "library",
    cancelSuperseded: false,
    notify: [],
    stages: [
      {
        name: "build",
        environment: null,
        needs: [],
        join: "all",
        automatic: true,
        allowFailure: false,
        image: { kind: "default" },
        workdir: ".",
        env: {},
        secrets: [],
        publishSecrets: [],
        phases: { install: [], script: ["make test"], publish: [], after: [] },
        entrypoint: null,
        publishRefs: null,
        artifactFiles: [],
        ami: null,
        limits: { memoryBytes: null, cpuMilli: null, pids: null, diskBytes: null, logBytes: 64 * 2 ** 20 },
        network: "full",
        hosts: [],
        timeoutMs: 3_600_000,
        timeouts: { queueMs: null, startMs: null, silenceMs: null },
        idempotent: true,
        retry: { attempts: 3, backoffMs: 0 },
        check: [],
        queue: "newest",
        approval: null,
        runsOn: { pool: null, labels: [] },
        priority: "normal",
      },
    ],
  });
});

test("the other files of the design have no problem but what is not supported yet", () => {
  const told = (name: string) => lint(".toroid.yml", example(name)).map(({ kind, path }) => `${kind} ${path}`);
  assert.deepEqual(told("gem"), ["unsupported cache"]);
  assert.deepEqual(told("application"), []);
  assert.deepEqual(told("monorepo"), []);
});

test("an OCI image is what its reference says when variables are filled in, or a mistake at its place", () => {
  const imageOf = (image: string) =>
    planned(`script: make\nenv: { V: "22", BAD: "Not a name" }\nimage: ${image}\n`, {
      ...PUSH,
      tree: { template: "file", files: [] },
    }).stages[0]?.image;
  assert.deepEqual(imageOf('{ oci: "node:${V}" }'), { kind: "oci", reference: "node:22" });
  assert.deepEqual(imageOf("{ packer: .packer, base: { oci: debian } }"), {
    kind: "packer",
    template: ".packer",
    text: null,
    base: { kind: "oci", reference: "debian" },
    files: [],
  });
  const [problem] = lint(".toroid.yml", 'script: make\nenv: { BAD: "Not a name" }\nimage: { oci: "${BAD}" }\n');
  assert.deepEqual(
    [problem?.path, problem?.message.slice(0, 42)],
    ["image.oci", "`Not a name` is no reference of an image: "],
  );
});

test("an image of Debian is a suite and packages, which no other image has", () => {
  const text = (image: string): string => `script: make\nenv: { S: bookworm }\nimage: ${image}\n`;
  assert.deepEqual(planned(text('{ debian: "${S}", packages: [ruby, gcc] }'), PUSH).stages[0]?.image, {
    kind: "debian",
    suite: "bookworm",
    packages: ["ruby", "gcc"],
  });
  const told = (image: string) => lint(".toroid.yml", text(image)).map(({ path, message }) => [path, message]);
  assert.deepEqual(told("{ tar: a.tar, packages: [ruby] }"), [["image", "`packages` are of a `debian`"]]);
  assert.deepEqual(told("{ debian: Bad Suite }"), [
    ["image.debian", "`Bad Suite` is no suite of Debian: expected a name such as `bookworm`"],
  ]);
  assert.deepEqual(
    told("{ debian: sid, packages: --evil }").map(([, message]) => message),
    ["`--evil` is no package of Debian: expected a name such as `build-essential`"],
  );
});

test("an image of Packer has a template, what it is made on, and what else the template needs", () => {
  const imageOf = (image: string) =>
    planned(`script: make\nenv: { R: "3.4" }\nimage: ${image}\n`, { ...PUSH, tree: { template: "file", files: [] } })
      .stages[0]?.image;
  assert.deepEqual(imageOf("{ packer: .packer }"), {
    kind: "packer",
    template: ".packer",
    text: null,
    base: { kind: "default" },
    files: [],
  });
  assert.deepEqual(imageOf('{ packer: ci/a.pkr.hcl, base: "ruby-${R}", files: [roles, Gemfile] }'), {
    kind: "packer",
    template: "ci/a.pkr.hcl",
    text: null,
    base: { kind: "named", name: "ruby-3.4" },
    files: ["roles", "Gemfile"],
  });
  assert.deepEqual(imageOf("{ packer: .packer, base: { tar: base.tar }, files: a }"), {
    kind: "packer",
    template: ".packer",
    text: null,
    base: { kind: "tar", path: "base.tar" },
    files: ["a"],
  });
});

test("the monorepo fans out and in again", () => {
  const text = example("monorepo").replace(/^image:.*$/m, `image: "node-\${NODE}"`);
  const { kind, stages } = planned(text, { ...PUSH, changedPaths: ["lib/a.ts"] });
  assert.equal(kind, "application");
  assert.deepEqual(
    stages.map(({ name, needs, allowFailure, image }) => [
      name,
      needs,
      allowFailure,
      "name" in image ? image.name : image.kind,
    ]),
    [
      ["build NODE=22", [], false, "node-22"],
      ["build NODE=24", [], false, "node-24"],
      ["build NODE=26", [], true, "node-26"],
      ["stage-eu", ["build NODE=22", "build NODE=24", "build NODE=26"], false, "node-22"],
      ["stage-us", ["build NODE=22", "build NODE=24", "build NODE=26"], false, "node-22"],
      ["prod", ["stage-eu", "stage-us"], false, "node-22"],
    ],
  );
});

test("without any `next` environments follow each other as written", () => {
  assert.deepEqual(order(`environments:\n  ${ENVIRONMENTS}`), [
    "dev after all build",
    "stage after all dev",
    "prod after all stage",
  ]);
});

test("promotion begins where the top-level `next` says, and what no `next` names waits for a request", () => {
  assert.deepEqual(order(`next: stage\nenvironments:\n  ${ENVIRONMENTS}`), [
    "dev by request after all build",
    "stage after all build",
    "prod by request after all build",
  ]);
  assert.deepEqual(order("next: []\nenvironments: { prod: { run: a } }\n"), ["prod by request after all build"]);
});

test("with a `next` inside alone promotion begins at the first environment", () => {
  assert.deepEqual(order("environments:\n  a: { run: x, next: b }\n  b: { run: x }\n  c: { run: x }\n"), [
    "a after all build",
    "b after all a",
    "c by request after all build",
  ]);
});

test("`after: any` waits for one of several", () => {
  const text =
    "next: [a, b]\nenvironments:\n  a: { run: x, next: c }\n  b: { run: x, next: c }\n  c: { run: x, after: any }\n";
  assert.deepEqual(order(text), ["a after all build", "b after all build", "c after any a, b"]);
});

test("an environment that begins and also follows waits for what it follows, or for the builds with `any`", () => {
  const text = "next: [a, b]\nenvironments:\n  a: { run: x, next: b }\n  b: { run: x }\n";
  assert.deepEqual(order(text), ["a after all build", "b after all a"]);
  assert.deepEqual(order(text.replace("b: { run: x }", "b: { run: x, after: any }")), [
    "a after all build",
    "b after all build",
  ]);
});

test("naming an environment twice in a `next` is naming it once", () => {
  assert.deepEqual(order("environments:\n  a: { run: x, next: [b, b] }\n  b: { run: x }\n"), [
    "a after all build",
    "b after all a",
  ]);
});

test("an environment runs its own lines in the workdir, or the entry point in the checkout", () => {
  const plan = planned(
    "script: make\nworkdir: ./api/\nentrypoint: bin/deploy\nenvironments:\n  stage:\n  prod: { run: [a, b] }\n",
  );
  const of = (name: string) => {
    const { phases, entrypoint, workdir } = stageOf(plan, name);
    return { script: phases.script, entrypoint, workdir };
  };
  assert.deepEqual(of("build"), { script: ["make"], entrypoint: null, workdir: "api" });
  assert.deepEqual(of("stage"), { script: [], entrypoint: "bin/deploy", workdir: "." });
  assert.deepEqual(of("prod"), { script: ["a", "b"], entrypoint: null, workdir: "api" });
});

test("later variables win: env, the environment's env, its params", () => {
  const plan = planned(
    "env: { A: 1, B: 1, C: 1 }\nscript: make\nenvironments: { prod: { run: x, env: { B: 2, C: 2 }, params: { C: 3, D: 3.5 } } }\n",
  );
  assert.deepEqual(stageOf(plan, "build").env, { A: "1", B: "1", C: "1" });
  assert.deepEqual(stageOf(plan, "prod").env, { A: "1", B: "2", C: "3", D: "3.5" });
});

test("values that YAML reads as they are written need no quotes", () => {
  const { env } = stageOf(
    planned('env: { A: yes, B: true, C: 22, D: 0.5, E: "3.10", F: "", G: -1 }\nscript: make\n'),
    "build",
  );
  assert.deepEqual(env, { A: "yes", B: "true", C: "22", D: "0.5", E: "3.10", F: "", G: "-1" });
});

test("an environment's limits, timeout and network are over the file's, each by itself", () => {
  const plan = planned(
    "script: make\ntimeout: 10m\nnetwork: none\nlimits: { memory: 1GiB, cpu: 0.5, pids: 64, disk: 2GiB }\nenvironments:\n  stage: { run: x }\n  prod: { run: x, timeout: 2h, network: full, idempotent: true, limits: { memory: 2GiB, log: 1MiB } }\n",
  );
  const of = (name: string) => {
    const { limits, timeoutMs, network, idempotent } = stageOf(plan, name);
    return [
      limits.memoryBytes,
      limits.cpuMilli,
      limits.pids,
      limits.diskBytes,
      limits.logBytes,
      timeoutMs,
      network,
      idempotent,
    ];
  };
  assert.deepEqual(of("build"), [2 ** 30, 500, 64, 2 ** 31, 2 ** 26, 600_000, "none", true]);
  assert.deepEqual(of("stage"), [2 ** 30, 500, 64, 2 ** 31, 2 ** 26, 600_000, "none", false]);
  assert.deepEqual(of("prod"), [2 ** 31, 500, 64, 2 ** 31, 2 ** 20, 7_200_000, "full", true]);
});

test("a network is everything, nothing, or the hosts that are listed, in one spelling and each once", () => {
  const of = (text: string, name = "build") => {
    const { network, hosts } = stageOf(planned(`script: make\n${text}\n`), name);
    return [network, hosts];
  };
  assert.deepEqual(of(""), ["full", []]);
  assert.deepEqual(of("network: none"), ["none", []]);
  assert.deepEqual(
    of("network: [Example.COM, example.com., 'example.com:443', 203.0.113.5, 203.0.113.5/32, 8.0.0.0/8:80]"),
    ["none", ["example.com", "example.com:443", "203.0.113.5", "8.0.0.0/8:80"]],
  );
  const environments =
    "network: [a.example]\nenvironments: { stage: { run: x, network: [b.example] }, prod: { run: x } }";
  assert.deepEqual(of(environments, "stage"), ["none", ["b.example"]]);
  assert.deepEqual(of(environments, "prod"), ["none", ["a.example"]]);
});

test("an image is a name, a directory, a tar, the default or the host", () => {
  const image = (text: string) => stageOf(planned(`script: make\nenv: { V: "22" }\nimage: ${text}\n`), "build").image;
  assert.deepEqual(image("default"), { kind: "default" });
  assert.deepEqual(image("host"), { kind: "host" });
  assert.deepEqual(image("node-${V}.1"), { kind: "named", name: "node-22.1" });
  assert.deepEqual(image("{ directory: /srv/images/a }"), { kind: "directory", path: "/srv/images/a" });
  assert.deepEqual(image('{ tar: "images/${V}.tar" }'), { kind: "tar", path: "images/22.tar" });
});

test("an environment can have an image of its own", () => {
  const plan = planned("script: make\nimage: node\nenvironments: { prod: { run: x, image: deploy } }\n");
  assert.deepEqual(
    [stageOf(plan, "build").image, stageOf(plan, "prod").image],
    [
      { kind: "named", name: "node" },
      { kind: "named", name: "deploy" },
    ],
  );
});

test("a matrix is every combination but the excluded, then the included", () => {
  const plan = planned(
    'script: make\nmatrix:\n  NODE: [22, 24]\n  DB: [pg, my sql]\n  exclude: [{ NODE: 22, DB: my sql }]\n  include:\n    - { NODE: 24, DB: pg, allow_failure: True }\n    - { NODE: "26" }\n',
  );
  assert.deepEqual(
    plan.stages.map(({ name, env, allowFailure }) => [name, env, allowFailure]),
    [
      ["build NODE=22 DB=pg", { NODE: "22", DB: "pg" }, false],
      ["build NODE=24 DB=pg", { NODE: "24", DB: "pg" }, true],
      ["build NODE=24 DB=my sql", { NODE: "24", DB: "my sql" }, false],
      ["build NODE=26", { NODE: "26" }, false],
    ],
  );
});

test("256 combinations are not too many", () => {
  const values = Array.from({ length: 16 }, (_, i) => i).join(", ");
  assert.equal(planned(`script: make\nmatrix: { A: [${values}], B: [${values}] }\n`).stages.length, 256);
});

test("artifact files belong to build stages", () => {
  const plan = planned("script: make\nartifact: { files: dist/** }\nenvironments: { prod: { run: x } }\n");
  assert.deepEqual(
    plan.stages.map(({ artifactFiles }) => artifactFiles),
    [["dist/**"], []],
  );
});

test("an application is one with environments, or one that says so", () => {
  assert.equal(planned("script: make\nenvironments: { prod: { run: x } }\n").kind, "application");
  assert.equal(planned("kind: application\nscript: make\n").kind, "application");
});

test("anchors and merge keys are filled in", () => {
  const plan = planned(
    "script: &lines [a, b]\nafter: *lines\nenvironments:\n  stage: &base { run: x, params: &p { A: 1 } }\n  prod: { <<: *base, run: y, params: { <<: [*p], B: 2 } }\n",
  );
  assert.deepEqual(stageOf(plan, "build").phases.after, ["a", "b"]);
  assert.deepEqual([stageOf(plan, "prod").phases.script, stageOf(plan, "prod").env], [["y"], { A: "1", B: "2" }]);
});

test("secrets of the file are for builds, those of publish and of an environment for these alone", () => {
  const { stages } = planned(
    "secrets: [A, A]\nscript: x\npublish: { run: y, secrets: [B] }\nenvironments: { prod: { run: z, secrets: [C] } }\n",
  );
  assert.deepEqual(
    stages.map(({ name, secrets, publishSecrets }) => [name, secrets, publishSecrets]),
    [
      ["build", ["A"], ["B"]],
      ["prod", ["C"], []],
    ],
  );
});

test("one file tells all its problems at once, of every kind, in its order", () => {
  const text =
    "scipt: make\nenv: { V: 3.10 }\nservices: [a]\nmatrix: { A: [] }\nenvironments:\n  a: { run: x, next: b }\n  b: { run: x, next: [a, c] }\n  d: ./deploy\n";
  assert.deepEqual(
    lint("f", text).map(({ line, kind, path }) => `${line} ${kind} ${path}`),
    [
      "1 invalid scipt",
      "2 invalid env.V",
      "3 unsupported services",
      "4 invalid matrix.A",
      "7 invalid environments.b.next",
      "7 invalid environments.b.next",
      "8 invalid environments.d",
    ],
  );
});

test("what is broken is not told again by what depends on it", () => {
  assert.deepEqual(
    lint(
      "f",
      "script: make\nmatrix: { NODE: 22 }\nimage: node-${NODE}\nnext: prod\nenvironments: { prod: ./deploy }\n",
    ).map(({ path }) => path),
    ["matrix.NODE", "environments.prod"],
  );
});

test("aliases that multiply are harmless", () => {
  const names = Array.from("abcdefghij");
  const levels = names.map(
    (name, i) =>
      `${name}: &${name} [${Array(9)
        .fill(i === 0 ? "x" : `*${names[i - 1]}`)
        .join(", ")}]`,
  );
  const started = performance.now();
  assert.match(lint("f", levels.join("\n"))[0]?.message ?? "", /^the file holds more than 10,000 values/);
  assert.ok(performance.now() - started < 2_000);
});

test("a file over 256 KiB is refused unread", () => {
  const [problem] = lint("f", `script: make # ${"x".repeat(256 * 1024)}`);
  assert.equal(problem?.message, "the file is larger than 256 KiB");
});

test("at most a hundred problems are told, and how many are left", () => {
  const problems = lint(
    "f",
    `env: { ${Array.from({ length: 150 }, (_, i) => `"${i} a": b`).join(", ")} }\nscript: make\n`,
  );
  assert.equal(problems.length, 101);
  assert.equal(problems.at(-1)?.message, "and 50 more problems from here on");
});

test("a byte order mark and Windows line ends do no harm", () => {
  assert.deepEqual(stageOf(planned("\ufeffscript:\r\n  - a\r\n  - b\r\n"), "build").phases.script, ["a", "b"]);
});

test("a frame of a hostile file cannot move the cursor", () => {
  const text = 'scipt\u001b[2J: "\u202e"\n';
  const [problem] = lint("f", text);
  assert.ok(problem);
  assert.equal(
    frame(problem, text),
    'f:1:1: `scipt�[2J` is not a key\n  1 | scipt�[2J: "�"\n    | ^^^^^^^^^\n    = did you mean `script`?',
  );
});

test("a frame lines up under tabs and cuts long lines around the caret", () => {
  const text = `env: {\tA: "${"x".repeat(200)}", b-c: d }\nscript: make\n`;
  const [problem] = lint("f", text);
  assert.ok(problem);
  const [, source, caret] = frame(problem, text).split("\n");
  assert.match(source ?? "", /^ {2}1 \| …x+", b-c: d \}$/);
  assert.equal((source ?? "").slice((caret ?? "").indexOf("^")), "b-c: d }");
  const tabs = "env: {\t\tb-c: d }\nscript: make\n";
  const [second] = lint("f", tabs);
  assert.ok(second);
  assert.match(frame(second, tabs), /\n {4}\| {7}\t\t\^\^\^$/);
});

test("an AMI has what its file says, and every default that is not the executor's", () => {
  const amiOf = (said: string) => planned(`script: make\nartifact: { ami: ${said} }\n`, PUSH);
  const bare = amiOf("{}");
  assert.equal(bare.kind, "application");
  assert.deepEqual(bare.stages[0]?.ami, {
    template: null,
    files: [],
    regions: [],
    share: [],
    rebake: false,
    source: null,
    instanceType: null,
    provision: "difference",
  });
  const all =
    '{ packer: ami.pkr.hcl, files: roles, rebake: true, source: { name: debian-13-*, owner: "136693071363" }, instance_type: c7g.large, provision: replay }';
  assert.deepEqual(amiOf(all).stages[0]?.ami, {
    template: "ami.pkr.hcl",
    files: ["roles"],
    regions: [],
    share: [],
    rebake: true,
    source: { kind: "newest", name: "debian-13-*", owner: "136693071363" },
    instanceType: "c7g.large",
    provision: "replay",
  });
  assert.deepEqual(amiOf("{ source: ami-0123456789abcdef0 }").stages[0]?.ami?.source, {
    kind: "id",
    id: "ami-0123456789abcdef0",
  });
  const environments = planned("artifact: { ami: {} }\nscript: make\nenvironments: { prod: { run: x } }\n", PUSH);
  assert.equal(environments.stages[1]?.ami, null);
});

test("whom to notify is in the plan as the file says it, one or several", () => {
  const wishes = (notify: string) => planned(`script: make\nnotify: ${notify}\n`).notify;
  const team = { to: "team", on: null, branches: null };
  assert.deepEqual(wishes("team"), [team]);
  assert.deepEqual(wishes("{ to: team, branches: main }"), [{ ...team, branches: ["main"] }]);
  assert.deepEqual(wishes("[team, { to: ops, on: never }]"), [team, { to: "ops", on: "never", branches: null }]);
});
