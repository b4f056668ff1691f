/** Archives that want out: refused in one sentence, with nothing made anywhere. */
import assert from "node:assert/strict";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { needs } from "../../support/skips.ts";
import { archive, CAPABILITY, FILE, long, open, records, sparse } from "./archives.ts";
import { NEEDS, Trees } from "./trees.ts";

describe("toroid-sandbox unpack of what is hostile", () => {
  let trees: Trees;
  before(async () => {
    trees = await Trees.make();
  });
  after(() => trees[Symbol.asyncDispose]());

  const up = "has `..` in it";
  const HOSTILE: readonly (readonly [title: string, bytes: () => Buffer, says: string, options?: readonly string[]])[] =
    [
      [
        "a name that leads upwards",
        () => archive(FILE, { name: "../canary", data: "x" }),
        `archive: \`../canary\` ${up}`,
      ],
      [
        "a name that leads upwards later",
        () => archive({ name: "a/../../canary" }),
        `archive: \`a/../../canary\` ${up}`,
      ],
      ["an absolute name that leads upwards", () => archive({ name: "/../canary" }), `archive: \`/../canary\` ${up}`],
      [
        "POSIX's name that leads upwards",
        () => archive({ name: "ok", pax: { path: "../x" } }),
        `archive: \`../x\` ${up}`,
      ],
      ["GNU's name that leads upwards", () => archive(long("L", "x/.."), FILE), `archive: \`x/..\` ${up}`],
      [
        "a sparse file's name that leads upwards",
        () => archive(sparse({ "GNU.sparse.name": "../x" })),
        `archive: \`../x\` ${up}`,
      ],
      ["a prefix that leads upwards", () => archive({ name: "canary", prefix: ".." }), `archive: \`../canary\` ${up}`],
      [
        "a file through a link upwards",
        () => archive({ name: "way", type: "2", link: ".." }, { name: "way/canary", data: "x" }),
        "unpack: `way` is no directory, and the archive puts something below it",
      ],
      [
        "a file through an absolute link",
        () => archive({ name: "a/way", type: "2", link: "/tmp" }, { name: "a/way/b/c", data: "x" }),
        "unpack: `a/way` is no directory, and the archive puts something below it",
      ],
      [
        "a directory that is made through a link",
        () => archive({ name: "way", type: "2", link: "." }, { name: "way/dir/", type: "5" }),
        "unpack: `way` is no directory, and the archive puts something below it",
      ],
      [
        "a hard link upwards",
        () => archive({ name: "x", type: "1", link: "../canary" }),
        "archive: `x` is a link to a name that cannot be",
      ],
      [
        "a hard link to a file of the host",
        () => archive({ name: "x", type: "1", link: "/etc/passwd" }),
        "unpack: `x` is a hard link to what the archive has not brought",
      ],
      [
        "a hard link through a link",
        () => archive({ name: "way", type: "2", link: ".." }, { name: "x", type: "1", link: "way/canary" }),
        "unpack: `x` is a hard link to what the archive has not brought",
      ],
      [
        "a hard link to a directory",
        () => archive({ name: "d/", type: "5" }, { name: "x", type: "1", link: "d" }),
        "unpack: `x` is a hard link to a directory",
      ],
      [
        "a hard link to the root",
        () => archive({ name: "x", type: "1", link: "/" }),
        "unpack: `x` is a hard link to what the archive has not brought",
      ],
      [
        "a device",
        () => archive({ name: "etc/sda", type: "4", device: [8, 0] }),
        "unpack: `etc/sda` is a device outside of /dev",
      ],
      [
        "overlay's own whiteout",
        () => archive({ name: "etc/x", type: "3" }),
        "unpack: `etc/x` is a device outside of /dev",
      ],
      [
        "a root that is a link",
        () => archive({ name: "./", type: "2", link: "/" }),
        "unpack: `/` is no directory in this archive",
      ],
      [
        "a root that is a file",
        () => archive({ name: "x", pax: { path: "." } }),
        "unpack: `/` is no directory in this archive",
      ],
      [
        "a size beyond all disks",
        () => open({ name: "x", pax: { size: "9223372036854775807" } }),
        "unpack: `x` brings more bytes than --max-bytes lets in",
      ],
      [
        "a size beyond all numbers",
        () => open({ name: "x", pax: { size: "99999999999999999999" } }),
        "archive: `x` has a size that is no number",
      ],
      [
        "a negative size",
        () => open({ name: "x", size: `\xff${"\xff".repeat(11)}` }),
        "archive: the archive has a size that is no number, after 512 bytes",
      ],
      [
        "a size in base 256 beyond all numbers",
        () => open({ name: "x", size: `\x80${"\xff".repeat(11)}` }),
        "archive: the archive has a size that is no number, after 512 bytes",
      ],
      [
        "more bytes than are let in",
        () => archive(FILE, { name: "b", data: "x".repeat(5000) }),
        "unpack: `b` brings more bytes than --max-bytes lets in",
        ["--max-bytes", "8192"],
      ],
      [
        "more files than are let in",
        () => archive(FILE, { name: "b" }, { name: "c" }),
        "unpack: `c` is one more file than --max-files lets in",
        ["--max-files", "2"],
      ],
      [
        "directories on the way that count as files",
        () => archive({ name: "a/b/c" }),
        "unpack: `a/b/c` is one more file than --max-files lets in",
        ["--max-files", "2"],
      ],
      [
        "zeros without an end",
        () => Buffer.concat([archive(FILE), Buffer.alloc(17 << 20)]),
        "archive: the archive ends in too many zeros, after 16779264 bytes",
      ],
      [
        "a second archive behind the end",
        () => Buffer.concat([archive(FILE), archive(FILE)]),
        "archive: the archive goes on behind its end, after 2560 bytes",
      ],
      [
        "a compressed archive",
        () => Buffer.from([0x1f, 0x8b, ...Array<number>(600).fill(8)]),
        "archive: this is no tar archive, or a compressed one: uncompress it first",
      ],
      [
        "a damaged header",
        () => archive(FILE, { name: "x", checksum: "0000001" }),
        "archive: the archive has a header that is damaged, after 1536 bytes",
      ],
      ["nothing at all", () => Buffer.alloc(0), "archive: the archive ends in the middle, after 0 bytes"],
      [
        "a part of a name that is too long",
        () => archive({ name: "x", pax: { path: "n".repeat(256) } }),
        `archive: \`${"n".repeat(193)}...\` has a part of more than 255 bytes`,
      ],
      [
        "a name that is too long",
        () => archive(long("L", "n/".repeat(2049)), FILE),
        `archive: \`${"n/".repeat(96)}n...\` is longer than 4095 bytes`,
      ],
      ["a name with a NUL", () => archive({ name: "x", pax: { path: "a\0b" } }), "archive: `a` has a NUL in it"],
      [
        "a link with a NUL",
        () => archive({ name: "x", type: "2", pax: { linkpath: "a\0b" } }),
        "archive: `x` is a link with a NUL in it",
      ],
      ["a link to nothing", () => archive({ name: "x", type: "2" }), "archive: `x` is a link to nothing"],
      [
        "a link with contents",
        () => archive({ name: "x", type: "2", link: "y", data: "z" }),
        "archive: `x` has contents and is no file",
      ],
      [
        "a directory with contents",
        () => archive({ name: "x/", type: "5", data: "z" }),
        "archive: `x` has contents and is no file",
      ],
      [
        "a kind that is not known",
        () => archive({ name: "x", type: "M" }),
        "archive: `x` is of a kind that is not read here",
      ],
      [
        "an owner that is no number",
        () => archive({ name: "x", uid: "root" }),
        "archive: `x` has an owner that is no number",
      ],
      [
        "an extended header without its end",
        () => archive({ name: "p", type: "x", data: "99 path=x\n" }, FILE),
        "archive: `file` has an extended header that is not well-formed",
      ],
      [
        "an extended header that counts wrong",
        () => archive({ name: "p", type: "x", data: "11 path=x\n" }, FILE),
        "archive: `file` has an extended header that is not well-formed",
      ],
      [
        "an extended header without a key",
        () => archive({ name: "p", type: "x", data: "5 =a\n" }, FILE),
        "archive: `file` has an extended header that is not well-formed",
      ],
      [
        "an extended header of no end",
        () => open({ name: "p", type: "x", size: 2 ** 30 }),
        "archive: the archive has an extended header of more than 1 MiB, after 512 bytes",
      ],
      [
        "two extended headers",
        () => archive({ name: "p", type: "x", data: records({ path: "a" }) }, { ...FILE, pax: { path: "b" } }),
        "archive: `b` has two extended headers",
      ],
      ["two long names", () => archive(long("L", "a"), long("L", "b"), FILE), "archive: `b` has two long names"],
      [
        "a long name in two ways",
        () => archive(long("L", "a"), { ...FILE, pax: { path: "b" } }),
        "archive: `b` has a long name of GNU's and one of POSIX's",
      ],
      [
        "a header that nothing follows",
        () => archive(long("L", "a")),
        "archive: the archive ends with a header that no entry follows, after 1536 bytes",
      ],
      [
        "a header for all that follow",
        () => archive({ name: "g", type: "g", data: records({ uid: "0" }) }, FILE),
        "archive: the archive has a global header with more than comments, after 1024 bytes",
      ],
      [
        "a map that does not fit",
        () => archive(sparse({}, "1\n0\n99\n")),
        "archive: `s` is a sparse file whose map does not fit its contents",
      ],
      [
        "a map that goes backwards",
        () => archive(sparse({}, "2\n512\n512\n0\n512\n", 1024)),
        "archive: `s` is a sparse file whose parts are not in order",
      ],
      [
        "a map of overlapping parts",
        () => archive(sparse({}, "2\n0\n512\n511\n512\n", 1024)),
        "archive: `s` is a sparse file whose parts are not in order",
      ],
      [
        "a map that is longer than it says",
        () => archive(sparse({}, "3\n0\n512\n")),
        "archive: `s` is a sparse file whose map is not well-formed",
      ],
      [
        "a map of more parts than memory",
        () => archive(sparse({}, "9223372036854775807\n0\n0\n")),
        "archive: `s` is a sparse file whose map is not well-formed",
      ],
      [
        "a sparse file beyond all disks that is not empty everywhere",
        () => archive(sparse({ "GNU.sparse.realsize": "9223372036854775807" }, "1\n9223372036854775295\n512\n")),
        "unpack: `s` cannot be written: EFBIG (File too large)",
      ],
      [
        "a sparse file of the first format",
        () => archive({ name: "s", pax: { "GNU.sparse.map": "0,1" } }),
        "archive: `s` is a sparse file of GNU's format 0, of which only 1.0 is read",
      ],
      [
        "capabilities of another form",
        () =>
          archive({
            ...FILE,
            pax: { "SCHILY.xattr.security.capability": Buffer.concat([CAPABILITY, Buffer.alloc(4)]) },
          }),
        "unpack: `file` has capabilities of a form that is not taken",
      ],
      [
        "a name that talks to the terminal",
        () => archive({ name: "\x1b[2J\n\x07/../x" }),
        `archive: \`\\x1b[2J\\x0a\\x07/../x\` ${up}`,
      ],
    ];

  for (const [title, bytes, says, options] of HOSTILE) {
    test(`${title}: one sentence, and nothing is there`, async (t) => {
      if (!needs(t, NEEDS)) return;
      const { code, stdout, stderr, into } = await trees.unpack(bytes(), options);
      assert.deepEqual([code, stdout, stderr], [125, "", `toroid-sandbox: ${says}\n`]);
      assert.deepEqual(await trees.shape(into), { ".": "40755 0:0" });
    });
  }

  test("cut off anywhere, nothing is there", { timeout: 120_000 }, async (t) => {
    if (!needs(t, NEEDS)) return;
    const whole = open({ name: "./", type: "5", mode: 0o700 }, { ...FILE, pax: { mtime: "1.5" } }, sparse({}));
    const into = await trees.target();
    for (let length = 0; length < whole.length; length += length % 512 === 0 ? 1 : 127) {
      const { code, stderr } = await trees.unpack(whole.subarray(0, length), [], into);
      assert.deepEqual([code, await readdir(into)], [125, []], `${length} bytes`);
      assert.match(stderr, /^toroid-sandbox: archive: the archive ends in the middle, after \d+ bytes\n$/);
    }
    assert.deepEqual(await trees.shape(into), { ".": "40755 0:0" });
  });

  test("a link that a later entry replaces leaves what it led to alone", async (t) => {
    if (!needs(t, NEEDS)) return;
    const { into, code } = await trees.unpack(
      archive(
        { name: "a", type: "2", link: "../canary" },
        { name: "a", data: "new" },
        { name: "d", type: "2", link: ".." },
        { name: "d/", type: "5", mode: 0o700 },
        { name: "d/canary", data: "inside" },
      ),
    );
    assert.equal(code, 0);
    assert.equal(await readFile(join(into, "d/canary"), "utf8"), "inside");
  });

  test("a sparse file of a terabyte costs nothing, and many parts are counted as the disk does", async (t) => {
    if (!needs(t, NEEDS)) return;
    const huge = sparse({ "GNU.sparse.realsize": String(2 ** 40) }, `1\n${2 ** 40 - 512}\n512\n`);
    const { into, stdout } = await trees.unpack(archive(huge));
    assert.equal((await stat(join(into, "s"))).size, 2 ** 40);
    assert.deepEqual(JSON.parse(stdout), { files: 1, bytes: 4096, devicesLeftOut: 0, ownersToNobody: 0 });
    const parts = Array.from({ length: 100 }, (_, index) => `${index * 8192}\n512\n`).join("");
    const many = sparse({ "GNU.sparse.realsize": "900000" }, `100\n${parts}`, 51_200);
    assert.equal((await trees.unpack(archive(many), ["--max-bytes", "409599"])).code, 125);
    assert.equal((await trees.unpack(archive(many), ["--max-bytes", "409600"])).code, 0);
  });
});
