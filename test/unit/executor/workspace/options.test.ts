import assert from "node:assert/strict";
import { test } from "node:test";
import { type RunOptions, runOptions, weakOf } from "../../../../executor/workspace/options.ts";

const NONE = { memoryBytes: null, cpuMilli: null, pids: null, diskBytes: null, logBytes: 1 } as const;
const OPTIONS: RunOptions = {
  images: ["host"],
  binds: [
    { source: "/s/src", target: "/workspace", readOnly: false },
    { source: "/s/o", target: "/toroid/objects", readOnly: true },
  ],
  variables: { A: "1 2\n3" },
  cwd: "/workspace",
  hostname: "api-1",
  network: "full",
  places: [],
  allowWeak: ["no-limit-pids", "no-cgroup"],
  limits: { ...NONE, memoryBytes: 5, pids: 7 },
  wallMs: 1_000.4,
  graceMs: 5_000,
  silenceMs: null,
  masks: ["/s"],
};

test("options are a word each, and what was not asked for is not there", () => {
  const words = runOptions(OPTIONS);
  assert.deepEqual(words.slice(0, 5), ["--image", "host", "--keep-scratch", "--network", "full"]);
  const valueOf = (name: string): string[] => words.flatMap((word, i) => (words[i - 1] === name ? [word] : []));
  assert.deepEqual(valueOf("--bind"), ["/s/src:/workspace", "/s/o:/toroid/objects:ro"]);
  assert.deepEqual(valueOf("--env"), ["A=1 2\n3"]);
  assert.deepEqual(["--memory-bytes", "--pids", "--wall-ms", "--mask"].flatMap(valueOf), ["5", "7", "1000", "/s"]);
  assert.ok(!words.includes("--cpu-milli") && !words.includes("--allow-host"));
});

test("what may be written to counts for a limit of the disk, where there is one", () => {
  assert.match(
    runOptions({ ...OPTIONS, limits: { ...NONE, diskBytes: 9 } }).join(" "),
    /--bind \/s\/src:\/workspace:counted --bind \/s\/o:\/toroid\/objects:ro [^]*--disk-bytes 9 /,
  );
});

test("a stage that lists hosts reaches them alone, in a network of its own", () => {
  const places = ["a.example=203.0.113.5:443", "203.0.113.0/24"];
  assert.match(
    runOptions({ ...OPTIONS, places }).join(" "),
    /--network full --allow-host a\.example=203\.0\.113\.5:443 --allow-host 203\.0\.113\.0\/24 /,
  );
  assert.throws(() => runOptions({ ...OPTIONS, network: "host", places }), /came to a host without networks/);
});

test("masks are for the host's own root alone", () => {
  assert.ok(!runOptions({ ...OPTIONS, images: ["/images/a"] }).includes("--mask"));
});

test("a stage is told weak in what it asked for and this host cannot do, and in nothing else", () => {
  const host = ["image-host", "no-limit-memoryBytes", "no-limit-pids"];
  const asked = { images: ["/images/a"], network: "none", limits: NONE } as const;
  assert.deepEqual(weakOf(host, asked), []);
  assert.deepEqual(weakOf(host, { ...asked, network: "full" }), []);
  assert.deepEqual(weakOf([...host, "network-host"], asked), []);
  assert.deepEqual(weakOf(host, { ...asked, limits: { ...NONE, memoryBytes: 1 } }), ["no-limit-memoryBytes"]);
  assert.deepEqual(
    weakOf(["no-cgroup", "network-host", "no-limit-diskBytes"], {
      images: ["host"],
      network: "full",
      limits: { ...NONE, diskBytes: 1 },
    }),
    ["network-host", "image-host", "no-cgroup", "no-limit-diskBytes"],
  );
});

test("a time of silence is the helper's to watch, and none is not", () => {
  const words = runOptions({ ...OPTIONS, silenceMs: 90_000 });
  assert.equal(words[words.indexOf("--silence-ms") + 1], "90000");
  assert.ok(!runOptions(OPTIONS).includes("--silence-ms"));
});
