/** `toroid-sandbox export`: what a run wrote, as a layer that brings it back somewhere else. */
import assert from "node:assert/strict";
import { chown, lchown, mkdir, readFile, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { HELPER, type Rig, rig } from "../../abuse/rig.ts";
import { programPath } from "../../support/programs.ts";
import { needs } from "../../support/skips.ts";
import { lines, NEEDS, Trees } from "./trees.ts";

const BASE = 1_879_048_192;

interface Exported {
  readonly code: number | undefined;
  readonly tar: Uint8Array;
  readonly stderr: string;
}

describe("toroid-sandbox export", () => {
  let trees: Trees;
  let sandbox: Rig;
  before(async () => {
    trees = await Trees.make();
    sandbox = await rig();
  });
  after(async () => {
    await trees[Symbol.asyncDispose]();
    await sandbox[Symbol.asyncDispose]();
  });

  const exported = async (scratch: string, options: readonly string[] = []): Promise<Exported> => {
    const words = ["export", "--scratch", scratch, ...options];
    const done = await execa(HELPER, words, { reject: false, encoding: "buffer", stripFinalNewline: false });
    return { code: done.exitCode, tar: done.stdout, stderr: Buffer.from(done.stderr).toString() };
  };
  const good = async (scratch: string): Promise<Uint8Array> => {
    const { code, tar, stderr } = await exported(scratch);
    assert.deepEqual([code, stderr], [0, ""]);
    return tar;
  };
  const asLayer = async (tar: Uint8Array): Promise<string> => {
    const { code, stderr, into } = await trees.unpack(tar, ["--layer"]);
    assert.deepEqual([code, stderr], [0, ""]);
    return into;
  };
  /** A kept scratch as a run leaves it, made by hand, so that what is in it may be anything. */
  const kept = async (fill: (upper: string) => Promise<unknown>): Promise<string> => {
    const scratch = await trees.dir("scratch");
    await mkdir(join(scratch, "upper"));
    await fill(join(scratch, "upper"));
    await execa("chown", ["--recursive", "--no-dereference", `${BASE}:${BASE}`, join(scratch, "upper")]);
    await writeFile(join(scratch, "lock"), String(BASE), { mode: 0o600 });
    return scratch;
  };
  const within = (upper: string, script: string): Promise<unknown> => execa("sh", ["-ec", script], { cwd: upper });

  test("a run on the exported layer sees exactly what the run saw that wrote it", { timeout: 120_000 }, async (t) => {
    if (!needs(t, NEEDS)) return;
    const base = await trees.dir("base");
    await within(base, BASE_IMAGE);
    const tool = ["--bind", `${trees.tree}:/run/tree:ro`];
    const mounts = /^(\.|dev|proc|run|sys|tmp)[ /]/;
    for (const images of [["host"], [base, "host"]]) {
      const [image = "", ...below] = images;
      const words = [...below.flatMap((at) => ["--image", at]), ...tool];
      const scratch = await sandbox.scratch();
      const list = "cd /; for at in t root; do /run/tree list /$at; done; ls -l /etc/hosts /etc/passwd 2>&1 || true";
      const wrote = await sandbox.sh(`set -e; ${WRITE}\n${list}`, [...words, "--keep-scratch"], { image, scratch });
      assert.equal(wrote.code, 0, wrote.stderr);
      const tar = await good(scratch);
      assert.deepEqual(await good(scratch), tar, "the same scratch makes the same bytes");
      await sandbox.run(words, ["true"], { image, scratch });
      const layer = await asLayer(tar);
      const over = [...images.flatMap((at) => ["--image", at]), ...tool];
      const seen = await sandbox.sh(list, over, { image: layer });
      assert.equal(seen.code, 0, seen.stderr);
      const shown = (text: string): readonly string[] => lines(text).filter((line) => !mounts.test(line));
      assert.deepEqual(shown(seen.stdout), shown(wrote.stdout));
      assert.match(seen.stdout, /capable .*security\.capability=/);
      assert.match(seen.stdout, /linked .* is=\.\/(.*)\n/);
    }
  });

  test("a layer that is exported again after a run on it has the capabilities that it had", async (t) => {
    if (!needs(t, NEEDS)) return;
    const scratch = await sandbox.scratch();
    const tool = ["--bind", `${trees.tree}:/run/tree:ro`];
    await sandbox.sh("echo x > /capable; /run/tree capable /capable", [...tool, "--keep-scratch"], { scratch });
    const layer = await asLayer(await good(scratch));
    await sandbox.run([], ["true"], { scratch });
    const again = await sandbox.scratch();
    const touch = "touch -d @5 /capable; mv /capable /moved; cat /moved";
    const { stdout } = await sandbox.sh(touch, ["--image", "host", "--keep-scratch"], { image: layer, scratch: again });
    assert.equal(stdout, "x\n");
    const second = await trees.shape(await asLayer(await good(again)));
    assert.equal(second["moved"], (await trees.shape(layer))["capable"]);
    assert.match(second["moved"] ?? "", /security\.capability=\\x01\\x00\\x00\\x02/);
    await sandbox.run([], ["true"], { scratch: again });
  });

  test("other readers take the archive for what it is", async (t) => {
    if (!needs(t, { ...NEEDS, program: ["cc", "tar"] })) return;
    const scratch = await kept((upper) => within(upper, PORTABLE));
    const bytes = await good(scratch);
    const peers = [
      ["tar", "--extract", "--numeric-owner", "--preserve-permissions", "--same-owner", "--xattrs", "--file=-"],
      ["bsdtar", "-x", "-p", "--numeric-owner", "-f", "-"],
    ].filter(([program = ""]) => programPath(program) !== undefined);
    for (const [program = "", ...words] of peers) {
      const into = await trees.dir(program);
      await execa(program, words, { cwd: into, input: bytes });
      assert.deepEqual(await trees.shape(into), await trees.shape(await asLayer(bytes)), program);
    }
  });

  test("what a layer cannot hold is left out and counted", async (t) => {
    if (!needs(t, NEEDS)) return;
    const scratch = await kept(async (upper) => {
      await execa(trees.tree, ["socket", join(upper, "socket")]);
      await within(upper, "mknod null c 1 3; mknod disk b 8 0; mkdir .wh.dir; touch .wh.dir/x .wh.y kept; mkfifo fifo");
    });
    const { code, tar, stderr } = await exported(scratch);
    assert.equal(code, 0);
    assert.equal(
      stderr,
      "toroid-sandbox: export: left out what a layer cannot hold: 2 devices, 1 sockets, 2 names that begin with .wh.\n",
    );
    assert.deepEqual(Object.keys(await trees.shape(await asLayer(tar))), [".", "fifo", "kept"]);
  });

  test("no link is followed, no file of the host's is read, and odd names stay on one line", async (t) => {
    if (!needs(t, NEEDS)) return;
    const outside = join(await trees.dir("outside"), "secret");
    await writeFile(outside, "secret of the host");
    const scratch = await kept(async (upper) => {
      await symlink(outside, join(upper, "link"));
      await symlink("..", join(upper, "up"));
      await within(upper, `mkdir d; ln -s / d/root; printf x > "$(printf 'a\\nb\\033[2J\\377')"`);
    });
    const tar = await good(scratch);
    assert.ok(!Buffer.from(tar).includes("secret of the host"));
    const shape = await trees.shape(await asLayer(tar));
    assert.deepEqual(Object.keys(shape), [".", "a\\x0ab\\x1b[2J\\xff", "d", "d/root", "link", "up"]);
    assert.equal(shape["up"], "120777 0:0 ->..");
  });

  test("a file of a terabyte without contents takes a few kilobytes, and one of many holes comes back", async (t) => {
    if (!needs(t, NEEDS)) return;
    const scratch = await kept(async (upper) => {
      await writeFile(join(upper, "huge"), "");
      await truncate(join(upper, "huge"), 2 ** 40);
      const holes =
        "for at in $(seq 0 3 300); do echo $at | dd of=holes bs=4096 seek=$at conv=notrunc status=none; done";
      await within(upper, holes);
    });
    const tar = await good(scratch);
    assert.ok(tar.length < 600_000, `${tar.length} bytes`);
    const layer = await asLayer(tar);
    assert.deepEqual(await readFile(join(layer, "holes")), await readFile(join(scratch, "upper/holes")));
    const { stdout } = await execa("stat", ["-c", "%s %b", join(layer, "huge")]);
    assert.equal(stdout, `${2 ** 40} 0`);
  });

  for (const [title, fill, says, options] of [
    [
      "a tree deeper than a path",
      (upper: string, tree: string) => execa(tree, ["deep", upper, "700"]),
      /`(deeper\/)+.*\.\.\.` is a path of more than 4095 bytes/,
    ],
    [
      "more files than are let out",
      (upper: string) => within(upper, "touch a b c"),
      /export: `` has more files than --max-files lets out/,
      ["--max-files", "3"],
    ],
    [
      "more bytes than are let out",
      (upper: string) => within(upper, "head -c 9000 /dev/zero > a"),
      /export: the archive is longer than --max-bytes/,
      ["--max-bytes", "9000"],
    ],
    [
      "a removed name with no room for the mark",
      (upper: string) => within(upper, `mknod ${"n".repeat(252)} c 0 0`),
      /is removed, and its name is too long to say so in a layer/,
    ],
  ] as const) {
    test(`${title}: one sentence, and no end of an archive`, async (t) => {
      if (!needs(t, NEEDS)) return;
      const scratch = await kept((upper) => fill(upper, trees.tree));
      const { code, tar, stderr } = await exported(scratch, options ?? []);
      assert.equal(code, 125);
      assert.match(stderr, says);
      assert.equal(stderr.split("\n").length, 2, "one line");
      assert.equal((await trees.unpack(tar, ["--layer"])).code, 125);
    });
  }

  test("a file of a stranger is refused", async (t) => {
    if (!needs(t, NEEDS)) return;
    const scratch = await kept((upper) => within(upper, "touch theirs"));
    await chown(join(scratch, "upper/theirs"), 0, 0);
    const { code, stderr } = await exported(scratch);
    assert.deepEqual([code, stderr], [125, "toroid-sandbox: export: `theirs` is owned by none of the run's users\n"]);
    await lchown(join(scratch, "upper/theirs"), BASE + 65_535, BASE + 65_535);
    assert.equal((await exported(scratch)).code, 0);
  });

  test("a scratch that a run is on, or that none was on, is refused", async (t) => {
    if (!needs(t, NEEDS)) return;
    await using running = await sandbox.start([], ["sleep", "1000"]);
    await running.heard("started");
    assert.match((await exported(running.scratch)).stderr, /is in use by another run$/m);
    const empty = await trees.dir("empty");
    assert.match((await exported(empty)).stderr, /^toroid-sandbox: export: no run has left anything in /);
    assert.match((await exported("relative")).stderr, /wants an absolute path/);
    assert.match(
      (await exported(empty, ["--max-bytes"])).stderr,
      /^toroid-sandbox: usage: toroid-sandbox export --scratch/,
    );
  });

  test("ends with a sentence when nobody reads it", async (t) => {
    if (!needs(t, NEEDS)) return;
    const scratch = await kept((upper) => within(upper, "head -c 9000000 /dev/zero | tr '\\0' x > a"));
    const line = `"$0" export --scratch "$1" | head -c 1000 > /dev/null; exit "\${PIPESTATUS[0]}"`;
    const { exitCode, stderr } = await execa("bash", ["-c", line, HELPER, scratch], { reject: false });
    assert.equal(exitCode, 125);
    assert.match(stderr, /^toroid-sandbox: export: the archive cannot be written: EPIPE /);
  });
});

const BASE_IMAGE = `mkdir -p t/replaced/deep t/emptied t/kept t/gone etc root
echo base > t/replaced/old; echo base > t/emptied/old; echo base > t/kept/file; echo base > t/gone/file
echo base > t/changed; echo base > t/removed; ln -s changed t/link; echo base > t/copied; chown 3:4 t/copied`;

/** In a sandbox, over the image or over nothing. */
const WRITE = `mkdir -p /t/kept /t/replaced /t/emptied; cd /t
rm -rf gone removed replaced emptied/old; mkdir replaced; echo new > replaced/new
echo new > changed; rm -f link; mkdir link; echo new > link/inside
touch copied; chmod 6711 copied; echo new > kept/new
echo capable > capable; chmod 755 capable; chown 5:6 capable; /run/tree capable capable
echo one > first; ln first linked; ln first kept/linked
ln -s /etc/passwd symbolic; chown -h 8:9 symbolic; mkfifo -m 640 fifo
cp /bin/true suid; chown 10:11 suid; chmod 4755 suid; mkdir -m 1777 sticky; mkdir -m 2755 sgid; chown 12:13 sgid
/run/tree attribute first user.note hello
touch -d '2001-02-03 04:05:06.789' changed kept; touch -d '1960-01-01 00:00:00' link/inside
truncate -s 3000000 sparse; echo end >> sparse
long=$(printf 'long-part-%03d/' $(seq 20)); mkdir -p "$long"; echo deep > "$long/file"; ln "$long/file" "$long/again"
printf odd > "$(printf 'odd\\nname \\377')"
rm -f /etc/hosts /etc/passwd; echo x > /etc/passwd; echo ours > /root/ours; chmod 750 /root; chown 65535:65535 /root/ours`;

const PORTABLE = `umask 022; mkdir -p d/e; echo file > d/file; ln d/file d/link; ln -s file d/symbolic; mkfifo d/fifo
chmod 4711 d/file; touch -d 2001-02-03 d/e; truncate -s 1000000 sparse; echo end >> sparse
long=$(printf 'long-part-%03d/' $(seq 12)); mkdir -p "$long"; echo deep > "$long/file"; ln -s "$long" long-link`;
