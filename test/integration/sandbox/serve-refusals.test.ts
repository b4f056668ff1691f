/** What `toroid-sandbox serve` does not do, and says so. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chown } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { NEEDS } from "../../abuse/rig.ts";
import { needs } from "../../support/skips.ts";
import { CLIENT, ServeRig } from "./serve-rig.ts";

const T = { timeout: 60_000 };

describe("serve, asked for what it does not do,", () => {
  let made: ServeRig | undefined;
  before(async () => {
    if (process.getuid?.() === 0) made = await ServeRig.start();
  });
  after(() => made?.[Symbol.asyncDispose]());
  const rig = (): ServeRig => {
    assert.ok(made !== undefined);
    return made;
  };

  const REFUSED: readonly (readonly [string, (at: ServeRig) => readonly string[], RegExp])[] = [
    ["nothing", () => [""], /^there is no request ``$/],
    ["an unknown request", () => ["dance"], /^there is no request `dance`$/],
    ["a request with too many words", () => ["gc", "now"], /^usage: gc$/],
    ["a request with too few words", () => ["adopt"], /^usage: adopt PATH$/],
    ["adopting what lies in no share", () => ["adopt", "/etc"], /^adopt \/etc: it lies in no directory that serve was/],
    ["adopting the state", ({ state }) => ["adopt", state], /it lies in no directory that serve was given/],
    ["adopting an image", ({ images }) => ["adopt", images], /it lies in no directory that serve was given/],
    ["adopting by ..", ({ share }) => ["adopt", `${share}/../state`], /it leads out of its directory, or over a link/],
    ["adopting what begins alike", ({ share }) => ["adopt", `${share}-not`], /it lies in no directory that serve was/],
    ["adopting what is not there", ({ share }) => ["adopt", `${share}/no`], /^adopt \S+: No such file or directory$/],
    ["adopting a relative path", () => ["adopt", "share"], /it lies in no directory that serve was given for this/],
    ["adopting over a link", ({ share }) => ["adopt", `${share}/link/x`], /it leads out of its directory, or over a/],
    ["adopting a link", ({ share }) => ["adopt", `${share}/link`], /it leads out of its directory, or over a link/],
    ["removing what lies in no share", () => ["remove", "/etc/passwd"], /it lies in no directory that serve was given/],
    ["removing the state", ({ state }) => ["remove", `${state}/x`], /it lies in no directory that serve was given/],
    [
      "removing by ..",
      ({ share }) => ["remove", `${share}/../state/x`],
      /it leads out of its directory, or over a link/,
    ],
    ["removing an image", ({ images }) => ["remove", `${images}/x`], /it lies in no directory that serve was given/],
    ["removing dots", ({ share }) => ["remove", `${share}/..`], /^remove \S+: Invalid argument$/],
    ["removing over a link", ({ share }) => ["remove", `${share}/link/x`], /it leads out of its directory, or over a/],
    ["removing the share itself", ({ share }) => ["remove", share], /it lies in no directory that serve was given/],
    ["discarding a path", () => ["discard", "../share"], /^scratch: \.\.\/share is no name of a scratch/],
    ["discarding what is hidden", () => ["discard", ".x"], /^scratch: \.x is no name of a scratch/],
  ];
  for (const [what, words, sentence] of REFUSED) {
    test(`${what} is refused with a sentence`, T, async (t) => {
      if (!needs(t, NEEDS)) return;
      if (!existsSync(join(rig().share, "link"))) await rig().link("link", "/");
      const { events } = await rig().ask(...words(rig()));
      assert.deepEqual(
        events.map(({ event }) => event),
        ["refused"],
      );
      assert.match(String(events[0]?.["message"]), sentence);
    });
  }

  const RUNS: readonly (readonly [string, (at: ServeRig) => readonly string[], RegExp])[] = [
    ["no command", () => [], /^a command is missing/],
    ["an option of the host's", () => ["--uid-base", "100000"], /^--uid-base is not for clients of serve$/],
    ["leave to be weak", () => ["--allow-weak", "no-cgroup"], /^--allow-weak is not for clients of serve$/],
    ["a cgroup", () => ["--cgroup", "/sys/fs/cgroup"], /^--cgroup is not for clients of serve$/],
    ["a namespace", () => ["--netns", "/proc/1/ns/net"], /^--netns is not for clients of serve$/],
    ["a descriptor of serve's", () => ["--json-status-fd", "3"], /^--json-status-fd is not for clients of serve$/],
    ["options from a descriptor", () => ["--args", "0"], /^--args is not for clients of serve$/],
    ["an owner of binds", () => ["--bind-owner", "1"], /^--bind-owner is not for clients of serve$/],
    ["an unknown option", () => ["--frobnicate"], /^there is no option `--frobnicate`/],
    ["no slot", () => ["--slot", ""], /^--slot wants a whole number/],
    ["a slot that is not there", () => ["--slot", "2"], /^--slot wants a number from 0 to 1$/],
    ["a scratch that is a path", () => ["--scratch", "/tmp/x"], /^--scratch wants a name of letters/],
    ["a scratch that leads away", () => ["--scratch", "../x"], /^--scratch wants a name of letters/],
    ["a hidden scratch", () => ["--scratch", ".toroid-trash-x"], /^--scratch wants a name of letters/],
    ["an image elsewhere", () => ["--image", "/etc"], /^--image \/etc: it lies in no directory that serve was given/],
    ["the host as an image by its path", () => ["--image", "/"], /^--image \/: it lies in no directory that serve/],
    ["an image over a link", ({ share }) => ["--image", `${share}/link/etc`], /^--image \S+: it leads out of its/],
    ["an image that is a file", ({ share }) => ["--image", `${share}/file`], /^--image \S+: Not a directory$/],
    [
      "another's image",
      ({ share }) => ["--image", `${share}/roots`],
      /^--image \S+: it is no directory of the client's$/,
    ],
    ["a bind elsewhere", () => ["--bind", "/etc:/x"], /^--bind \/etc: it lies in no directory that serve was given/],
    [
      "a bind of an image",
      ({ images }) => ["--bind", `${images}:/x`],
      /^--bind \S+: it lies in no directory that serve/,
    ],
    ["a bind by ..", ({ share }) => ["--bind", `${share}/../state:/x`], /^--bind \S+: it leads out of its directory/],
    ["a bind over a link", ({ share }) => ["--bind", `${share}/link/etc:/x`], /^--bind \S+: it leads out of its/],
    ["a bind of a link", ({ share }) => ["--bind", `${share}/link:/x`], /^--bind \S+: it leads out of its directory/],
    [
      "a bind of another's",
      ({ share }) => ["--bind", `${share}/roots:/x`],
      /it is no directory or file of the client's$/,
    ],
    [
      "a bind of a pipe",
      ({ share }) => ["--bind", `${share}/unread:/x`],
      /it is no directory or file of the client's$/,
    ],
    ["output that nobody reads", ({ share }) => ["--output", `${share}/unread`], /^--output \S+: nobody reads it$/],
    ["output into a file", ({ share }) => ["--output", `${share}/file`], /it is no named pipe of the client's$/],
    ["output elsewhere", () => ["--output", "/dev/null"], /^--output \/dev\/null: it lies in no directory that serve/],
    ["another's output", ({ share }) => ["--output", `${share}/rootspipe`], /it is no named pipe of the client's$/],
    ["the host's network", () => ["--network", "host"], /serve was not started with --may-share-network$/],
    ["a network of the pool", () => ["--network", "full"], /there is no pool of networks: serve was started without/],
  ];
  for (const [what, options, sentence] of RUNS) {
    test(`a run with ${what} is refused with a sentence, and leaves nothing`, T, async (t) => {
      if (!needs(t, NEEDS)) return;
      await furnish(rig());
      const there = await rig().scratches();
      const command = what === "no command" ? [] : ["--", "true"];
      const image = what.includes("image") && !what.includes("bind") ? [] : ["--image", "host"];
      const words = ["run", ...image, "--scratch", "refused", "--slot", "0", ...options(rig()), ...command];
      const { events } = await rig().ask(...words);
      assert.deepEqual(
        events.map(({ event, reason, code }) => [event, reason, code]),
        [["exit", "setup", 125]],
      );
      assert.match(String(events[0]?.["message"]), sentence);
      assert.deepEqual(await rig().scratches(), there);
    });
  }
});

describe("serve", () => {
  const WRONG: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["no options", [], /^toroid-sandbox: usage: toroid-sandbox serve --socket PATH/],
    ["an option without a value", ["--socket"], /^toroid-sandbox: usage:/],
    ["an unknown option", ["--frobnicate", "1"], /^toroid-sandbox: usage:/],
    ["a client who is none", ["--client-uid", "ada"], /--client-uid wants a whole number from 0 to \d+, not `ada`/],
    [
      "a client among the builds",
      ["--client-uid", "1879048192"],
      /--client-uid wants a whole number from 0 to 1879048191/,
    ],
    ["a weakness that is none", ["--allow-weak", "x"], /--allow-weak knows no `x`, but /],
    ["no slot", ["--slots", "0"], /--slots wants a whole number from 1 to 256/],
    ["a share that is not there", ["--share", "/no/such"], /serve: cannot open the directory \/no\/such: ENOENT/],
    ["a share that is a file", ["--share", "/etc/passwd"], /cannot open the directory \/etc\/passwd: ENOTDIR/],
    [
      "a state that others may enter",
      [...minimal("/usr")],
      /--state \/usr must be a directory of root's with mode 0700$/,
    ],
    ["a parent that is another", [...minimal("/usr"), "--parent-pid", "1"], /serve: --parent-pid 1 is not our parent$/],
  ];
  for (const [what, words, sentence] of WRONG) {
    test(`does not start with ${what}`, T, async (t) => {
      if (!needs(t, NEEDS)) return;
      const { exitCode, stderr } = await execa(NEEDS.path, ["serve", ...words], { reject: false });
      assert.equal(exitCode, 125);
      assert.match(stderr, sentence);
    });
  }
});

function minimal(state: string): readonly string[] {
  return ["--socket", "/nowhere/socket", "--client-uid", "1", "--slots", "1", "--state", state];
}

/** What the refusals are about. */
async function furnish(rig: ServeRig): Promise<void> {
  const { share } = rig;
  if (existsSync(join(share, "roots"))) return;
  if (!existsSync(join(share, "link"))) await rig.link("link", "/");
  await rig.put("file");
  await rig.folder("roots", { owner: 0 });
  for (const [name, owner] of [
    ["unread", CLIENT],
    ["rootspipe", 0],
  ] as const) {
    await execa("mkfifo", ["-m", "622", join(share, name)]);
    await chown(join(share, name), owner, owner);
  }
}
