/** `toroid-sandbox unpack`: well-formed archives as GNU tar would, hostile ones not at all. */
import assert from "node:assert/strict";
import { readdir, readFile, readlink, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { programPath } from "../../support/programs.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { archive, CAPABILITY, entry, FILE, long, open } from "./archives.ts";
import { NEEDS, start, Trees } from "./trees.ts";

describe("toroid-sandbox unpack", () => {
  let trees: Trees;
  before(async () => {
    trees = await Trees.make();
  });
  after(() => trees[Symbol.asyncDispose]());

  /** Everything that is ordinary in a root file system, and some that is not. */
  async function ordinary(): Promise<string> {
    const dir = await trees.dir("ordinary");
    const longPath = Array.from({ length: 12 }, (_, index) => `a-rather-long-part-${index}`).join("/");
    await execa("sh", ["-ec", ORDINARY], { cwd: dir, env: { LONG: longPath } });
    await execa(trees.tree, ["capable", join(dir, "usr/bin/capable")]);
    await execa(trees.tree, ["attribute", join(dir, "etc/note"), "user.note", "hello"]);
    await execa("touch", ["-d", "1969-12-31T23:59:58.25Z", "etc/old"], { cwd: dir });
    await execa("touch", ["-d", "2001-02-03T04:05:06.789Z", "etc", "usr/bin", "."], { cwd: dir });
    return dir;
  }

  describe("what is well-formed", () => {
    for (const [format, options, fraction] of [
      ["posix", ["--xattrs", "--xattrs-include=*", "--sparse"], true],
      ["posix", ["--hole-detection=raw", "--sparse", "--xattrs", "--xattrs-include=*", "--blocking-factor=1"], true],
      ["gnu", ["--sparse"], false],
      ["gnu", [], false],
    ] as const) {
      test(`an archive of GNU tar (${[format, ...options].join(" ")}) becomes the tree it was made from`, async (t) => {
        if (!needs(t, { ...NEEDS, program: ["cc", "tar"] })) return;
        const from = await ordinary();
        const words = ["--create", `--format=${format}`, ...options, "--numeric-owner", "--directory", from, "."];
        const { stdout } = await execa("tar", words, { encoding: "buffer", stripFinalNewline: false });
        const { code, stderr, into } = await trees.unpack(stdout);
        assert.deepEqual([code, stderr], [0, ""]);
        const seen = (line: string): string =>
          fraction ? line : line.replace(/(\d)\.\d+( |$)/, "$1$2").replace(/ (user|security)\..*/, "");
        const whole = (line: string): string => seen(line.replace("-2.250000000", "-2.000000000"));
        assert.deepEqual((await trees.list(into)).map(whole), (await trees.list(from)).map(whole));
        if (!options.some((option) => option === "--sparse")) return;
        assert.ok((await stat(join(into, "var/sparse"))).blocks < 1000, "holes stay holes");
      });
    }

    test("an archive of bsdtar becomes the tree it was made from", async (t) => {
      if (!needs(t, NEEDS)) return;
      if (programPath("bsdtar") === undefined) return t.skip("it needs the program bsdtar");
      const from = await ordinary();
      const { stdout } = await execa("bsdtar", ["-c", "--format", "pax", "--xattrs", "-C", from, "."], {
        encoding: "buffer",
        stripFinalNewline: false,
      });
      const { code, stderr, into } = await trees.unpack(stdout);
      assert.deepEqual([code, stderr], [0, ""]);
      // it writes times before 1970 with a fraction that is not theirs
      const others = (list: readonly string[]): string[] => list.filter((line) => !line.startsWith("etc/old "));
      assert.deepEqual(others(await trees.list(into)), others(await trees.list(from)));
    });

    test("set-user-id, owners, capabilities and attributes are those of the archive, and set in spite of each other", async (t) => {
      if (!needs(t, NEEDS)) return;
      const pax = { "SCHILY.xattr.security.capability": CAPABILITY, "SCHILY.xattr.user.note": "x=\n1" };
      const { into, code } = await trees.unpack(
        archive(
          { name: "group/", type: "5", mode: 0o2775, gid: 50 },
          { name: "group/sudo", mode: 0o4755, uid: 7, data: "#!" },
          { name: "group/ping", mode: 0o755, uid: 7, data: "#!", pax },
          { name: "group/inner/file", data: "" },
        ),
      );
      assert.equal(code, 0);
      assert.deepEqual(await trees.shape(into), {
        ".": "40755 0:0",
        group: "42775 0:50",
        "group/inner": "40755 0:0",
        "group/inner/file": "100644 0:0 size=0 digest=cbf29ce484222325",
        "group/ping": `100755 7:0 size=2 digest=07c90f07b491b949 security.capability=\\x01\\x00\\x00\\x02\\x00\\x20${"\\x00".repeat(14)} user.note=x=\\x0a1`,
        "group/sudo": "104755 7:0 size=2 digest=07c90f07b491b949",
      });
    });

    test("attributes that are orders to the kernel or of another host are left out", async (t) => {
      if (!needs(t, NEEDS)) return;
      const names = ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.opaque", "security.selinux"];
      const pax = Object.fromEntries(names.map((name) => [`SCHILY.xattr.${name}`, "y"]));
      const { into, code } = await trees.unpack(archive({ name: "dir/", type: "5", pax }, { ...FILE, pax }));
      assert.equal(code, 0);
      assert.deepEqual(await trees.marks(into), []);
      assert.deepEqual(
        Object.values(await trees.shape(into))
          .join(" ")
          .match(/overlay|selinux/),
        null,
      );
    });

    test("the last entry of a name counts, whatever the one before was", async (t) => {
      if (!needs(t, NEEDS)) return;
      const { into, code } = await trees.unpack(
        archive(
          { name: "a", data: "first" },
          { name: "a/", type: "5", mode: 0o700 },
          { name: "a/b/c", data: "inside" },
          { name: "a/b", data: "second" },
          { name: "a/link", type: "2", link: "/etc" },
          { name: "a/link", data: "third" },
          { name: "a/", type: "5", mode: 0o711 },
        ),
      );
      assert.equal(code, 0);
      assert.deepEqual(Object.keys(await trees.shape(into)), [".", "a", "a/b", "a/link"]);
      assert.equal((await trees.shape(into))["a"], "40711 0:0");
      assert.equal(await readFile(join(into, "a/b"), "utf8"), "second");
      assert.equal(await readFile(join(into, "a/link"), "utf8"), "third");
    });

    test("a slash at the beginning means the tree's root, and dots and doubled slashes mean nothing", async (t) => {
      if (!needs(t, NEEDS)) return;
      const { into, code } = await trees.unpack(
        archive(
          { name: "/", type: "5", mode: 0o750 },
          { name: "//etc/.//passwd", data: "x" },
          { name: "./etc/again", type: "1", link: "/etc/passwd" },
        ),
      );
      assert.equal(code, 0);
      assert.deepEqual(await trees.shape(into), {
        ".": "40750 0:0",
        etc: "40755 0:0",
        "etc/again": "100644 0:0 size=1 digest=af63f54c86021707",
        "etc/passwd": "100644 0:0 size=1 digest=af63f54c86021707 is=./etc/again",
      });
    });

    test("the same archive makes the same tree, to the nanosecond", async (t) => {
      if (!needs(t, NEEDS)) return;
      const bytes = archive(
        FILE,
        { name: "a/b/c", data: "x" },
        { name: "a/", type: "5", pax: { mtime: "5.000000001" } },
      );
      const [one, two] = [await trees.unpack(bytes), await trees.unpack(bytes)];
      assert.deepEqual(await trees.list(one.into), await trees.list(two.into));
      assert.ok((await trees.list(one.into)).includes("a 40644 0:0 5.000000001"));
    });

    test("devices below /dev are left out, owners that no sandbox has become nobody, and both are said", async (t) => {
      if (!needs(t, NEEDS)) return;
      const { into, code, stdout } = await trees.unpack(
        archive(
          { name: "dev/null", type: "3", device: [1, 3] },
          { name: "dev/sda", type: "4", device: [8, 0] },
          { ...FILE, pax: { uid: "1000000", gid: "65535" } },
        ),
      );
      assert.equal(code, 0);
      assert.deepEqual(JSON.parse(stdout), { files: 3, bytes: 4096, devicesLeftOut: 2, ownersToNobody: 1 });
      assert.deepEqual(await trees.shape(into), {
        ".": "40755 0:0",
        file: "100644 65534:65535 size=8 digest=ee7ef3d0c2b5ef83",
      });
    });

    test("names may be long, deep and full of what terminals obey", async (t) => {
      if (!needs(t, NEEDS)) return;
      const odd = "line\nbreak\x1b[2J\r`\\\xff";
      const longest = `${"d".repeat(255)}/`.repeat(15) + "f".repeat(250);
      const deep = `${"d/".repeat(2040)}f`;
      const { into, code, stderr } = await trees.unpack(
        archive(
          { name: odd, data: "odd" },
          { name: "posix", data: "1", pax: { path: longest } },
          Buffer.concat([long("L", deep), entry({ name: "gnu", data: "2" })]),
          Buffer.concat([long("K", "t".repeat(4095)), entry({ name: "link", type: "2" })]),
        ),
      );
      assert.deepEqual([code, stderr], [0, ""]);
      const { stdout } = await execa("find", [".", "-type", "f", "-printf", "%d %f\\n"], { cwd: into });
      assert.deepEqual(stdout.split("\n").sort(), [
        "1 line",
        `16 ${"f".repeat(250)}`,
        "2041 f",
        "break\x1b[2J\r`\\\ufffd",
      ]);
      assert.equal(await readlink(join(into, "link")), "t".repeat(4095));
    });

    test("nothing after the end, one block of zeros or many of them: it is an archive", async (t) => {
      if (!needs(t, NEEDS)) return;
      for (const zeros of [1, 2, 20, 4096]) {
        const { code, stderr } = await trees.unpack(Buffer.concat([open(FILE), Buffer.alloc(512 * zeros)]));
        assert.deepEqual([code, stderr], [0, ""], `${zeros} blocks`);
      }
    });
  });

  describe("the directory", () => {
    test("has to be there and empty, and what is in it stays", async (t) => {
      if (!needs(t, NEEDS)) return;
      const into = await trees.target();
      await writeFile(join(into, "mine"), "mine");
      const { code, stderr } = await trees.unpack(archive(FILE), [], into);
      assert.deepEqual([code, stderr], [125, "toroid-sandbox: unpack: the directory is not empty\n"]);
      assert.deepEqual(await readdir(into), ["mine"]);
      const none = start(join(into, "none"));
      none.feed(archive(FILE));
      assert.match((await none.done).stderr, /^toroid-sandbox: unpack: cannot open .*\/none: ENOENT /);
    });

    test("is empty again after TERM, after a kill of what reads the archive, and when the archive stops", async (t) => {
      if (!needs(t, NEEDS)) return;
      for (const [end, says] of [
        [(pid: number): void => void process.kill(pid, "SIGTERM"), "unpack: it was cancelled"],
        [killReader, "unpack: the process that reads what is hostile died of signal 9"],
        [null, "archive: the archive ends in the middle, after 1024 bytes"],
      ] as const) {
        const into = await trees.target();
        const unpacking = start(into);
        unpacking.write(open({ name: "a/b", data: "x" }));
        await until("the first file", async () => (await readdir(into)).length > 0);
        if (end === null) unpacking.feed(Buffer.alloc(0));
        else await end(unpacking.child.pid ?? 0);
        assert.deepEqual(await unpacking.done, { code: 125, stdout: "", stderr: `toroid-sandbox: ${says}\n` });
        assert.deepEqual(await readdir(into), []);
      }
    });

    test("what reads the archive sees the directory alone, has few capabilities and few system calls", async (t) => {
      if (!needs(t, NEEDS)) return;
      for (const [options, capabilities] of [
        [[], "000000008000001b"],
        [["--layer"], "000000008020001b"],
      ] as const) {
        const into = await trees.target();
        const unpacking = start(into, options);
        unpacking.write(open({ name: "a/b", data: "x" }));
        await until("the first file", async () => (await readdir(into)).length > 0);
        const reader = await readerOf(unpacking.child.pid ?? 0);
        const status = await readFile(`/proc/${reader}/status`, "utf8");
        const said = (key: string): string | undefined => new RegExp(`^${key}:\\s*(.*)$`, "m").exec(status)?.[1];
        assert.deepEqual(
          [said("CapPrm"), said("CapEff"), said("Seccomp"), said("NoNewPrivs")],
          [capabilities, capabilities, "2", "1"],
        );
        assert.equal(await readlink(`/proc/${reader}/root`), into);
        const open3 = await Promise.all(
          (await readdir(`/proc/${reader}/fd`)).map((fd) => readlink(`/proc/${reader}/fd/${fd}`)),
        );
        assert.deepEqual(
          open3.filter(
            (target) => !target.startsWith("pipe:") && !target.startsWith("socket:") && !target.startsWith(into),
          ),
          [],
        );
        unpacking.feed(Buffer.alloc(1024));
        assert.equal((await unpacking.done).code, 0);
      }
    });
  });

  test("a wrong command line answers with its usage", async (t) => {
    if (!needs(t, NEEDS)) return;
    for (const words of [
      [],
      ["--into"],
      ["--layer"],
      ["--into", "/", "--max-bytes", "1x"],
      ["--into", "/", "--what", "x"],
    ]) {
      const { exitCode, stderr } = await execa(NEEDS.path, ["unpack", ...words], { reject: false, input: "" });
      assert.equal(exitCode, 125);
      assert.match(stderr, /^toroid-sandbox: usage: toroid-sandbox unpack --into DIR /);
    }
  });
});

async function readerOf(pid: number): Promise<number> {
  return Number((await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim());
}

async function killReader(pid: number): Promise<void> {
  process.kill(await readerOf(pid), "SIGKILL");
}

const ORDINARY = `umask 022
mkdir -p usr/bin etc var/empty "$LONG"
echo short > usr/bin/program; chmod 755 usr/bin/program
echo sudo > usr/bin/sudo; chmod 4755 usr/bin/sudo
echo capable > usr/bin/capable
ln usr/bin/program usr/bin/same; ln -s program usr/bin/alias; ln -s /etc/passwd etc/absolute
ln -s "$LONG/$LONG" long-link
echo note > etc/note; echo old > etc/old; : > etc/none
echo deep > "$LONG/file"; ln "$LONG/file" "$LONG/same"
mkfifo var/fifo; chmod 600 var/fifo
chown -h 1:2 etc/absolute; chown 33:34 var/fifo; chown 65534:65534 etc/none; chmod 2755 var/empty; chown 5:6 var/empty
chmod 1777 var; chmod 0 etc/none
truncate -s 5M var/sparse
for at in 0 100 333 1200; do echo "here $at" | dd of=var/sparse bs=4096 seek=$at conv=notrunc status=none; done
head -c 100000 /dev/zero | tr '\\0' x > var/block; printf 'x\\n' > "$(printf 'odd\\nname \\377')"
`;
