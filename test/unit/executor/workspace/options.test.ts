import assert from "node:assert/strict";
import { test } from "node:test";
import { optionBytes, type RunOptions, weakOf } from "../../../../executor/workspace/options.ts";

const NONE = { memoryBytes: null, cpuMilli: null, pids: null, diskBytes: null, logBytes: 1 } as const;
const OPTIONS: RunOptions = {
  image: "host",
  scratch: "/s/scratch",
  binds: [
    { source: "/s/src", target: "/workspace", readOnly: false },
    { source: "/s/o", target: "/toroid/objects", readOnly: true },
  ],
  variables: { A: "1 2\n3" },
  cwd: "/workspace",
  hostname: "api-1",
  uidBase: 100_000,
  network: "full",
  places: [],
  slotNetwork: null,
  cgroup: null,
  allowWeak: ["no-limit-pids", "no-cgroup"],
  limits: { ...NONE, memoryBytes: 5, pids: 7 },
  wallMs: 1_000.4,
  graceMs: 5_000,
  silenceMs: null,
  masks: ["/s"],
};

test("options are words that end in NUL, so that no value is ever on a command line", () => {
  const words = Buffer.from(optionBytes(OPTIONS)).toString().split("\0");
  assert.equal(words.pop(), "");
  assert.deepEqual(words.slice(0, 5), ["--image", "host", "--scratch", "/s/scratch", "--keep-scratch"]);
  const valueOf = (name: string): string[] => words.flatMap((word, i) => (words[i - 1] === name ? [word] : []));
  assert.deepEqual(valueOf("--bind"), ["/s/src:/workspace", "/s/o:/toroid/objects:ro"]);
  assert.deepEqual(valueOf("--env"), ["A=1 2\n3"]);
  assert.deepEqual(["--network", "--memory-bytes", "--pids", "--wall-ms", "--mask"].flatMap(valueOf), [
    "host",
    "5",
    "7",
    "1000",
    "/s",
  ]);
  assert.ok(!words.includes("--cpu-milli") && !words.includes("--cgroup"));
});

test("what may be written to counts for a limit of the disk, where there is one", () => {
  const words = Buffer.from(optionBytes({ ...OPTIONS, limits: { ...NONE, diskBytes: 9 } })).toString();
  assert.match(
    words.replaceAll("\0", " "),
    /--bind \/s\/src:\/workspace:counted --bind \/s\/o:\/toroid\/objects:ro [^]*--disk-bytes 9 /,
  );
});

test("a stage with a network gets its slot's, one without gets none", () => {
  const slotNetwork = { netns: "/s/networks/3", resolver: "/s/networks/resolv.conf" };
  const words = (network: "none" | "full"): string =>
    Buffer.from(optionBytes({ ...OPTIONS, network, slotNetwork }))
      .toString()
      .replaceAll("\0", " ");
  assert.match(words("full"), /--network full --netns \/s\/networks\/3 --resolver \/s\/networks\/resolv\.conf /);
  assert.match(words("none"), /--network none --/);
});

test("a stage that lists hosts gets its slot's network and reaches them alone", () => {
  const slotNetwork = { netns: "/s/networks/3", resolver: "/s/networks/resolv.conf" };
  const places = ["a.example=203.0.113.5:443", "203.0.113.0/24"];
  const words = Buffer.from(optionBytes({ ...OPTIONS, network: "none", places, slotNetwork })).toString();
  assert.match(
    words.replaceAll("\0", " "),
    /--network full --netns \/s\/networks\/3 --allow-host a\.example=203\.0\.113\.5:443 --allow-host 203\.0\.113\.0\/24 --wall|--memory/,
  );
  assert.doesNotMatch(words, /--resolver/);
  assert.throws(() => optionBytes({ ...OPTIONS, network: "none", places }), /came to a host without networks/);
});

test("masks are for the host's own root alone", () => {
  assert.ok(
    !Buffer.from(optionBytes({ ...OPTIONS, image: "/images/a" }))
      .toString()
      .includes("--mask"),
  );
});

test("a stage is told weak in what it asked for and this host cannot do, and in nothing else", () => {
  const host = ["image-host", "no-limit-memoryBytes", "no-limit-pids"];
  const asked = { image: "/images/a", network: "none", limits: NONE } as const;
  assert.deepEqual(weakOf(host, asked), []);
  assert.deepEqual(weakOf(host, { ...asked, network: "full" }), []);
  assert.deepEqual(weakOf([...host, "network-host"], asked), []);
  assert.deepEqual(weakOf(host, { ...asked, limits: { ...NONE, memoryBytes: 1 } }), ["no-limit-memoryBytes"]);
  assert.deepEqual(
    weakOf(["no-cgroup", "network-host", "no-limit-diskBytes"], {
      image: "host",
      network: "full",
      limits: { ...NONE, diskBytes: 1 },
    }),
    ["network-host", "image-host", "no-cgroup", "no-limit-diskBytes"],
  );
});

test("a time of silence is the helper's to watch, and none is not", () => {
  const words = Buffer.from(optionBytes({ ...OPTIONS, silenceMs: 90_000 }))
    .toString("utf8")
    .split("\0");
  assert.equal(words[words.indexOf("--silence-ms") + 1], "90000");
  assert.ok(!Buffer.from(optionBytes(OPTIONS)).includes("--silence-ms"));
});
