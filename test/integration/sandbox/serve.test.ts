/** `toroid-sandbox serve` as its client sees it: runs, refusals, and who ends with whom. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, chown, copyFile, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { NEEDS } from "../../abuse/rig.ts";
import { isAlive, script } from "../../support/child.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { type Asking, CLIENT, requestOf, ServeRig } from "./serve-rig.ts";

const T = { timeout: 60_000 };

describe("a client of serve", () => {
  let made: ServeRig | undefined;
  let mute: Asking | undefined;
  before(async () => {
    if (process.getuid?.() !== 0) return;
    made = await ServeRig.start();
    mute = made.connect();
  });
  after(() => made?.[Symbol.asyncDispose]());
  const rig = (): ServeRig => {
    assert.ok(made !== undefined);
    return made;
  };

  test("is told what there is when serve is ready, and again when it asks", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const { version, ...ready } = rig().ready;
    assert.match(String(version), /^\d+\.\d+\.\d+$/);
    assert.deepEqual(ready, {
      event: "ready",
      slots: 2,
      pool: false,
      poolMessage: "serve was started without --net",
      mayShareNetwork: false,
      leases: true,
      store: rig().images,
    });
    assert.deepEqual((await rig().ask("hello")).events, [rig().ready]);
  });

  test("gets a verdict, and the output by a pipe that the build can open again", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const { events, said, printed } = await rig().sh("echo one; echo two >&2; echo three >>/dev/stdout; exit 3");
    assert.equal(printed, "one\ntwo\nthree\n");
    assert.deepEqual([said["code"], said["reason"]], [3, "exit"]);
    assert.deepEqual(
      events.map(({ event }) => event),
      ["created", "started", "exit", "gone"],
    );
  });

  test("reads its verdict whatever it says when the run is over already", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const output = await rig().output();
    const socket = connect({ path: rig().socket });
    const errors: Error[] = [];
    socket.on("error", (error) => errors.push(error));
    socket.write(requestOf(rig().runWords("late", "echo here", ["--output", output.path])));
    await until("the run to print", () => output.text() !== "");
    await output.whole();
    // Nothing of the answer was read so far.
    for (let n = 0; n < 3; n += 1) await new Promise<void>((resolve) => void socket.write("R", () => resolve()));
    const said = (await Array.fromAsync(socket.setEncoding("utf8"))).join("");
    assert.deepEqual(errors, []);
    assert.match(said, /"event":"exit"/);
  });

  test("may leave the output out, and the build's standard input is at its end", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const { said } = await rig().ask(...rig().runWords("quiet", "echo lost; cat; exit 4"));
    assert.equal(said["code"], 4);
  });

  test("owns as uid 0 inside what it owns outside, and the rest is in the slot's range", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const dir = await rig().folder("owners", { mode: 0o777 });
    await rig().put("owners/mine", { text: "hello\n" });
    const line = [
      "cd /src; stat -c '%u %g %n' mine; cat mine; echo made > made; mkdir -m 777 open",
      "setpriv --reuid 7 --regid 8 --clear-groups sh -c 'echo x > open/other'; stat -c '%u %g %n' made open/other",
    ].join("; ");
    const { printed, of } = await rig().sh(line, ["--bind", `${dir}:/src`]);
    assert.equal(printed, "0 0 mine\nhello\n0 0 made\n7 8 open/other\n");
    const base = Number(of("created")?.["uidBase"]);
    const owner = async (name: string): Promise<readonly number[]> => {
      const { uid, gid } = await stat(join(dir, name));
      return [uid, gid];
    };
    assert.deepEqual(await owner("made"), [CLIENT, CLIENT]);
    assert.deepEqual(await owner("open/other"), [base + 7, base + 8]);
  });

  test("does not show the image host what it owns, nor what serve does", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const { share, images, state } = rig();
    for (const dir of [share, images, state]) await writeFile(join(dir, "secret"), "");
    const { printed } = await rig().sh(
      `ls -A ${share} ${images} ${state} 2>/dev/null | grep secret; cat /proc/1/cmdline`,
    );
    assert.equal(printed.replaceAll("\0", "").trim(), "init");
  });

  test("may have an image of its own, whose owners are mapped as a bind's are", T, async (t) => {
    if (!needs(t, { ...NEEDS, program: "cc" })) return;
    // Root inside may start what only its owner may, unless the owner is nobody inside.
    const program = join(rig().dir, "program");
    await execa("cc", ["-static", "-x", "c", "-o", program, "-"], { input: "int main(void) { return 42; }" });
    const code = async (dir: string, owner: number): Promise<unknown> => {
      const image = join(dir, `image${owner}`);
      for (const name of ["", "proc", "dev", "tmp", "run", "etc"]) await mkdir(join(image, name), { mode: 0o755 });
      await copyFile(program, join(image, "program"));
      await chmod(join(image, "program"), 0o700);
      await execa("chown", ["-R", `${owner}:${owner}`, image]);
      await chown(image, dir === rig().share ? CLIENT : 0, 0);
      return (await rig().ask("run", "--image", image, "--scratch", "i", "--slot", "0", "--", "/program")).said["code"];
    };
    assert.deepEqual([await code(rig().share, CLIENT), await code(rig().share, 0)], [42, 126]);
    assert.deepEqual([await code(rig().images, 0), await code(rig().images, 100_000)], [42, 126]);
  });

  test("goes on with a scratch that it kept, and discards it when no run is on it", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const keep = ["--keep-scratch"];
    assert.equal((await rig().sh("echo kept > /var/mark", keep, { scratch: "kept" })).said["code"], 0);
    assert.equal((await rig().sh("cat /var/mark", keep, { scratch: "kept" })).printed, "kept\n");
    const other = await rig().sh("cat /var/mark", keep, { scratch: "kept", slot: 1 });
    assert.match(String(other.said["message"]), /was written under --uid-base \d+ and cannot be used under another/);
    const running = rig().open(...rig().runWords("kept", "exec sleep 1000", keep));
    await running.heard("started");
    assert.match(String((await rig().ask("discard", "kept")).said["message"]), /kept is in use by a run/);
    running.socket.write("K");
    await running.answer;
    assert.deepEqual((await rig().ask("discard", "kept")).said, { event: "done", removed: 1 });
    assert.deepEqual((await rig().ask("discard", "kept")).said, { event: "done", removed: 0 });
    assert.equal((await rig().scratches()).includes("kept"), false);
  });

  test("ends its run by T with a time of grace, by K at once, and by hanging up", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const output = await rig().output();
    const polite = rig().open(
      ...rig().runWords("t", "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.01; done", [
        "--output",
        output.path,
      ]),
    );
    await until("the trap to be set", () => output.text() === "up\n");
    polite.socket.write("T");
    const ended = await polite.answer;
    assert.deepEqual([ended.said["reason"], ended.said["code"]], ["cancelled", 5]);
    assert.match(await output.whole(), /\nbye\n$/);

    const deaf = rig().open(...rig().runWords("k", "trap '' TERM; sleep 1000", ["--grace-ms", "60000"]));
    await deaf.heard("started");
    deaf.socket.write("T");
    deaf.socket.write("K");
    assert.deepEqual([(await deaf.answer).said["reason"], (await deaf.answer).said["signal"]], ["cancelled", 9]);

    const left = rig().open(...rig().runWords("h", "trap '' TERM; sleep 1000", ["--keep-scratch"]));
    const pid = Number((await left.heard("started"))["pid"]);
    left.socket.destroy();
    await until("the run to be over", () => !isAlive(pid));
    await until("its scratch to be gone, kept or not", async () => !(await rig().scratches()).includes("h"));
  });

  test("ends its run by saying nothing for as long as it was given, and by no word before that", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const LEASE = ["--lease-ms", "1500", "--grace-ms", "60000"];
    const kept = rig().open(...rig().runWords("renewed", "trap '' TERM; sleep 3; exit 7", LEASE, 0));
    const beats = setInterval(() => kept.socket.write("R"), 100);
    const forgotten = rig().open(...rig().runWords("lease", "trap '' TERM; sleep 1000", LEASE, 1));
    const pid = Number((await forgotten.heard("started"))["pid"]);
    const { said } = await forgotten.answer;
    assert.deepEqual([said["reason"], said["signal"]], ["lease", 9]);
    assert.equal(said["message"], "it was ended because who asked for it had said nothing for 1500 ms");
    assert.equal(isAlive(pid), false);
    assert.deepEqual([(await kept.answer).said["reason"], (await kept.answer).said["code"]], ["exit", 7]);
    clearInterval(beats);
  });

  test("ends its run although it is stopped itself, and finds it ended when it goes on", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const program = join(rig().dir, "client.mjs");
    await writeFile(
      program,
      `import { connect } from "node:net";
       const words = JSON.parse(process.argv[3]).map((word) => word + "\\0").join("");
       const head = Buffer.alloc(4);
       head.writeUInt32LE(words.length);
       const socket = connect(process.argv[2], () => socket.write(Buffer.concat([head, Buffer.from(words)])));
       socket.on("data", (data) => process.stdout.write(data));
       setInterval(() => socket.write("R"), 50).unref();
       socket.on("close", () => process.exit(0));`,
    );
    const words = rig().runWords("stopped", "sleep 1000", ["--lease-ms", "1000"]);
    await using client = script(program, [rig().socket, JSON.stringify(words)]);
    let pid = 0;
    while (pid === 0) pid = Number(/"event":"started","pid":(\d+)/.exec((await client.line()) ?? "")?.[1] ?? 0);
    client.kill("SIGSTOP");
    await until("the run to be over", () => !isAlive(pid));
    client.kill("SIGCONT");
    assert.match((await client.line()) ?? "", /"reason":"lease"/);
    assert.equal((await client.exited).code, 0);
  });

  test("has one run in a slot at a time", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const first = rig().open(...rig().runWords("a", "exec sleep 1000", [], 1));
    await first.heard("started");
    const second = await rig().sh("true", [], { slot: 1 });
    assert.match(String(second.said["message"]), /^uids: the uids from \d+ on are in use by another run$/);
    assert.equal((await rig().sh("true", [], { slot: 0 })).said["code"], 0);
    first.socket.write("K");
    await first.answer;
    assert.equal((await rig().sh("true", [], { slot: 1 })).said["code"], 0);
  });

  test("has what runs that were killed left removed by gc, and no living one", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const living = rig().open(...rig().runWords("living", "exec sleep 1000", [], 0));
    await living.heard("started");
    const doomed = rig().open(...rig().runWords("doomed", "exec sleep 1000", [], 1));
    const pid = Number((await doomed.heard("started"))["pid"]);
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    process.kill(Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]), "SIGKILL");
    await doomed.answer;
    const { said } = await rig().ask("gc");
    assert.equal(said.event, "done");
    assert.ok(Number(said["removed"]) >= 1);
    assert.deepEqual(await rig().scratches(), ["living", "secret"]);
    living.socket.write("K");
    assert.equal((await living.answer).said["reason"], "cancelled");
  });

  test("says a word too many, too few, or too slowly, and is understood or told", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const saying = async (bytes: Buffer, hangUp = false): Promise<string> => {
      const asking = rig().connect();
      asking.socket.write(bytes);
      if (hangUp) asking.socket.end();
      return String((await asking.answer).said["message"]);
    };
    const head = (length: number): Buffer => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(length);
      return bytes;
    };
    assert.match(await saying(head(0)), /^a request has 1 to \d+ bytes, not 0$/);
    assert.match(await saying(head(0xffffffff)), /^a request has 1 to \d+ bytes, not 4294967295$/);
    assert.match(await saying(head(8 * 1024 * 1024 + 1)), /^a request has 1 to 8388608 bytes, not 8388609$/);
    assert.match(await saying(Buffer.from("GET / HTTP/1.1\r\n\r\n")), /^a request has 1 to \d+ bytes, not \d+$/);
    assert.match(await saying(head(0).subarray(2), true), /^the request did not come$/);
    assert.match(await saying(Buffer.concat([head(100), Buffer.from("run\0")]), true), /^the request is cut short$/);
    assert.match(await saying(Buffer.concat([head(3), Buffer.from("run")])), /does not end in NUL$/);
    const many = Buffer.alloc(70_000);
    assert.match(await saying(Buffer.concat([head(many.length), many])), /^a request has 65536 words at most$/);

    const slow = rig().connect();
    for (const byte of requestOf(["hello"])) {
      await new Promise<void>((resolve) => void slow.socket.write(Buffer.from([byte]), () => resolve()));
      await new Promise(setImmediate);
    }
    assert.equal((await slow.answer).said.event, "ready");
    // Asked for in the same breath as the request.
    const hasty = rig().connect();
    hasty.socket.write(Buffer.concat([requestOf(rig().runWords("hasty", "exec sleep 1000")), Buffer.from("K")]));
    assert.equal((await hasty.answer).said["reason"], "cancelled");
    // Opened before the first test: whoever says nothing at all is not waited for.
    assert.equal((await mute?.answer)?.said["message"], "the request did not come");
  });

  test("is that uid or root: nobody else is heard, even where the socket lets them", T, async (t) => {
    if (!needs(t, { ...NEEDS, program: ["setpriv", "bash"] })) return;
    const { socket, dir } = rig();
    const program = join(dir, "ask.mjs");
    await writeFile(
      program,
      `import { connect } from "node:net";
       const socket = connect(process.argv[2]);
       socket.on("connect", () => socket.write(Buffer.from("\\x06\\0\\0\\0hello\\0", "latin1")));
       socket.on("error", (error) => console.log(error.code)).on("data", (data) => console.log(String(data)));
       socket.on("end", () => console.log("closed"));`,
    );
    await chmod(program, 0o644);
    const as = async (uid: number): Promise<string> => {
      const words = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", process.execPath, program, socket];
      return (
        (await execa("setpriv", words, { reject: false, cwd: "/", env: { HOME: "/" } })).stdout.split("\n")[0] ?? ""
      );
    };
    assert.match(await as(CLIENT), /"event":"ready"/);
    assert.equal(await as(CLIENT + 1), "EACCES");
    await chmod(socket, 0o666);
    assert.match(await as(CLIENT + 1), /^(closed|ECONNRESET|EPIPE)$/);
    await chmod(socket, 0o600);
  });
});

describe("serve", () => {
  test("killed outright leaves what runs to its client", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using rig = await ServeRig.start();
    const output = await rig.output();
    const asking = rig.open(...rig.runWords("a", "echo up; read x < /src/go; exit 6", await goBind(rig, output.path)));
    await until("it to run", () => output.text() === "up\n");
    rig.process.kill("SIGKILL");
    await rig.exited;
    await execa("sh", ["-c", `echo > ${rig.share}/go/go`]);
    assert.deepEqual([(await asking.answer).said["code"], (await asking.answer).of("gone") !== undefined], [6, true]);
    await output.whole();
  });

  test("told to go takes nothing new, and goes when the last run is over", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using rig = await ServeRig.start();
    const output = await rig.output();
    const asking = rig.open(...rig.runWords("a", "echo up; read x < /src/go; exit 7", await goBind(rig, output.path)));
    await until("it to run", () => output.text() === "up\n");
    rig.process.kill("SIGTERM");
    await until("the socket to be gone", () => !existsSync(rig.socket));
    assert.deepEqual((await rig.ask("hello")).said, { event: "nothing" });
    assert.equal(rig.process.exitCode, null);
    await execa("sh", ["-c", `echo > ${rig.share}/go/go`]);
    assert.equal((await asking.answer).said["code"], 7);
    assert.deepEqual(await rig.exited, { code: 0, signal: null });
    await output.whole();
  });

  test("goes when its parent is killed", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    // The shell is the parent; what serve prints, it prints.
    await using rig = await ServeRig.start([], {
      within: ["sh", "-c", `"$@" --parent-pid $$ & echo $! > "$0"; wait`, "/dev/null"],
    });
    const socket = rig.open("hello");
    await socket.answer;
    rig.process.kill("SIGKILL");
    await until("the socket to be gone", () => !existsSync(rig.socket));
  });

  test("goes when its parent lets go of its standard input", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using rig = await ServeRig.start(["--parent-pid", String(process.pid)], { stdin: "pipe" });
    assert.equal((await rig.ask("hello")).said.event, "ready");
    rig.process.stdin?.destroy();
    assert.deepEqual(await rig.exited, { code: 0, signal: null });
  });

  test("does not take a socket that another serves at, and takes one that is left", T, async (t) => {
    if (!needs(t, NEEDS)) return;
    await using rig = await ServeRig.start();
    const { socket, state } = rig;
    const words = ["serve", "--socket", socket, "--client-uid", "1", "--state", state, "--slots", "1"];
    assert.match((await execa(NEEDS.path, words, { reject: false })).stderr, /somebody serves at \S+ already$/);
    rig.process.kill("SIGKILL");
    await rig.exited;
    const again = spawn(NEEDS.path, words, { stdio: ["ignore", "pipe", "inherit"] });
    await once(again.stdout, "data");
    again.kill("SIGTERM");
    assert.deepEqual(await once(again, "exit"), [0, null]);
  });
});

/** A pipe that a run reads at /src/go, so that a test says when it ends. */
async function goBind(rig: ServeRig, output: string): Promise<readonly string[]> {
  const dir = await rig.folder("go");
  await execa("mkfifo", ["-m", "666", join(dir, "go")]);
  return ["--output", output, "--bind", `${dir}:/src`];
}
