/** What a run wrote, as a layer, for a client of `toroid-sandbox serve` that has no right to look at it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chown } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { NEEDS } from "../../abuse/rig.ts";
import { needs } from "../../support/skips.ts";
import { CLIENT, ServeRig } from "./serve-rig.ts";

const T = { timeout: 60_000 };

describe("export, for a client of serve,", () => {
  let made: ServeRig | undefined;
  before(async () => {
    if (process.getuid?.() === 0) made = await ServeRig.start();
  });
  after(() => made?.[Symbol.asyncDispose]());
  const rig = (): ServeRig => {
    assert.ok(made !== undefined);
    return made;
  };
  const pipe = async (name: string): Promise<string> => {
    const path = join(rig().share, name);
    await execa("mkfifo", ["-m", "600", path]);
    await chown(path, CLIENT, CLIENT);
    return path;
  };

  test("writes the kept scratch of a run into the client's pipe, owners as they were inside", T, async (t) => {
    if (!needs(t, { ...NEEDS, program: "tar" })) return;
    const line = "mkdir /opt/made; echo one > /opt/made/file; chown 1000:1000 /opt/made/file; rm /etc/hostname";
    const words = ["--image", "host", "--scratch", "kept", "--keep-scratch", "--slot", "0"];
    assert.equal((await rig().ask("run", ...words, "--", "sh", "-c", line)).said["code"], 0);
    const path = await pipe("layer");
    const tar = spawn("tar", ["--numeric-owner", "-tvf", path], { stdio: ["ignore", "pipe", "inherit"] });
    const listed = text(tar.stdout);
    const { said } = await untilRead(() => rig().ask("export", "kept", path));
    assert.equal(said.event, "done");
    assert.match(await listed, /1000\/1000 +4 .* opt\/made\/file\n/);
    assert.match(await listed, /etc\/\.wh\.hostname\n/);
    assert.equal((await rig().ask("discard", "kept")).said["removed"], 1);
  });

  test("refuses a path as a name, a scratch that is not there, and a pipe that nobody reads", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const path = await pipe("unread");
    const refusal = async (name: string, to: string): Promise<string> => {
      const { said } = await rig().ask("export", name, to);
      assert.equal(said.event, "refused");
      return String(said["message"]);
    };
    assert.match(await refusal("../state", path), /is no name of a scratch$/);
    assert.match(await refusal("kept", path), /nobody reads it$/);
    assert.match(await refusal("kept", "/dev/null"), /it lies in no directory that serve was given for this$/);
    const reader = spawn("cat", [path], { stdio: "ignore" });
    const read = new Promise((resolve) => reader.once("close", resolve));
    const { said } = await untilRead(() => rig().ask("export", "gone", path));
    assert.match(String(said["message"]), /^scratch: cannot open .*gone: ENOENT/);
    await read;
  });
});

/** The reader is a process that may not have opened the pipe yet. */
async function untilRead(ask: () => ReturnType<ServeRig["ask"]>): ReturnType<ServeRig["ask"]> {
  for (;;) {
    const answer = await ask();
    if (!String(answer.said["message"]).endsWith("nobody reads it")) return answer;
  }
}
