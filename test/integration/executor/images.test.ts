/** Archives in the image store become directories, once each, whoever made them. */
import assert from "node:assert/strict";
import { copyFile, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { execa } from "execa";
import { TarImages } from "../../../executor/images/tar.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import { HELPER } from "../../abuse/rig.ts";
import { imageCache, want } from "../../support/image-cache.ts";
import { needs } from "../../support/skips.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";
import { archive } from "../sandbox/archives.ts";

const NEEDS = { root: true, path: HELPER } as const;
const SUDO = { name: "usr/bin/sudo", data: "#!", mode: 0o4755, uid: 3 } as const;

/** A store's directory and what unpacks from it. */
async function rig(): Promise<{ readonly dir: TempDir; readonly cache: string; readonly images: TarImages }> {
  const dir = await tempDir("toroid-images-");
  const cache = join(dir.path, "cache", "images");
  return { dir, cache, images: new TarImages(await imageCache(join(dir.path, "cache"))) };
}

async function compressed(program: string, bytes: Uint8Array): Promise<Uint8Array> {
  const { stdout } = await execa(program, ["--stdout"], { input: bytes, encoding: "buffer", stripFinalNewline: false });
  return stdout;
}

for (const [title, program, compress] of [
  ["as it is", undefined, async (bytes: Uint8Array) => bytes],
  ["gzip", undefined, async (bytes: Uint8Array) => gzipSync(bytes)],
  ["zstd in two frames", undefined, async (bytes: Uint8Array) => inTwo(bytes, zstdCompressSync)],
  ["gzip in two members", undefined, async (bytes: Uint8Array) => inTwo(bytes, gzipSync)],
  ["xz", "xz", async (bytes: Uint8Array) => compressed("xz", bytes)],
  ["bzip2", "bzip2", async (bytes: Uint8Array) => compressed("bzip2", bytes)],
] as const) {
  test(`an archive is unpacked whatever it is called and compressed with: ${title}`, async (t) => {
    if (!needs(t, program === undefined ? NEEDS : { ...NEEDS, program })) return;
    const { dir, images } = await rig();
    await using _ = dir;
    const path = join(dir.path, "small.tar");
    await writeFile(path, await compress(archive(SUDO)));
    const { root } = await images.unpacked(path, "small", want());
    const { mode, uid } = await stat(join(root, "usr/bin/sudo"));
    assert.deepEqual([mode, uid, await readFile(join(root, "usr/bin/sudo"), "utf8")], [0o104755, 3, "#!"]);
  });
}

test("the same archive is unpacked once, under whatever name and however many ask for it", async (t) => {
  if (!needs(t, NEEDS)) return;
  const { dir, cache, images } = await rig();
  await using _ = dir;
  const paths = ["a.tar", "b.tar"].map((name) => join(dir.path, name));
  await writeFile(paths[0] ?? "", archive(SUDO));
  await copyFile(paths[0] ?? "", paths[1] ?? "");
  const made = await Promise.all([...paths, ...paths].map((path) => images.unpacked(path, "x", want())));
  const roots = made.map(({ root }) => root);
  assert.equal(new Set(roots).size, 1);
  assert.deepEqual(
    (await readdir(cache)).map((name) => join(cache, name)),
    [roots[0]],
  );
});

for (const [title, bytes, says] of [
  ["no archive", Buffer.from("this is not an archive"), /archive: the archive ends in the middle, after 0 bytes$/],
  [
    "compressed in another way",
    Buffer.alloc(600, "x"),
    /this is no tar archive, or a compressed one: uncompress it first$/,
  ],
  ["leads out", archive(SUDO, { name: "../x" }), /archive: `\.\.\/x` has `\.\.` in it$/],
  ["is cut off", gzipSync(archive(SUDO)).subarray(0, 60), /: unexpected end of file$/],
  [
    "is damaged",
    Buffer.concat([gzipSync(archive(SUDO)).subarray(0, 40), Buffer.alloc(99, 1)]),
    /: (invalid|incorrect) .+$/,
  ],
] as const) {
  test(`an archive that ${title} is said to be so, and nothing is left`, async (t) => {
    if (!needs(t, NEEDS)) return;
    const { dir, cache, images } = await rig();
    await using _ = dir;
    await writeFile(join(dir.path, "bad.tar"), bytes);
    const error = await images.unpacked(join(dir.path, "bad.tar"), "bad", want()).catch((e: unknown) => e);
    assert.ok(error instanceof ToroidError && error.code === "TOR_IMAGE_MISSING", String(error));
    assert.match(error.message, /^the image bad cannot be unpacked: /);
    assert.match(error.message, says);
    assert.deepEqual(await readdir(cache), []);
  });
}

test("an archive that xz does not read is said to be so in its words", async (t) => {
  if (!needs(t, { ...NEEDS, program: "xz" })) return;
  const { dir, images } = await rig();
  await using _ = dir;
  const bytes = await compressed("xz", archive(SUDO));
  await writeFile(join(dir.path, "bad.tar.xz"), bytes.subarray(0, bytes.length - 20));
  await assert.rejects(images.unpacked(join(dir.path, "bad.tar.xz"), "bad", want()), {
    code: "TOR_IMAGE_MISSING",
    message: /^the image bad cannot be unpacked: xz: .*Unexpected end of input$/,
  });
});

function inTwo(bytes: Uint8Array, compress: (part: Uint8Array) => Uint8Array): Uint8Array {
  return Buffer.concat([compress(bytes.subarray(0, 700)), compress(bytes.subarray(700))]);
}
