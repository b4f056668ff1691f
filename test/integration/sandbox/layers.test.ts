/** Layers of OCI images: what `unpack --layer` makes of them, and what `run` shows of several. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { execa } from "execa";
import { type Rig, rig } from "../../abuse/rig.ts";
import { programPath } from "../../support/programs.ts";
import { needs } from "../../support/skips.ts";
import { archive, type Entry, FILE } from "./archives.ts";
import { lines, NEEDS, Trees } from "./trees.ts";

const dir = (name: string, more: Partial<Entry> = {}): Entry => ({ name: `${name}/`, type: "5", mode: 0o755, ...more });
const file = (name: string, data = name): Entry => ({ name, data });
const removed = (name: string): Entry => ({ name, data: "" });

describe("layers", () => {
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

  const unpacked = async (...entries: readonly Entry[]): Promise<string> => {
    const { code, stderr, into } = await trees.unpack(archive(...entries), ["--layer"]);
    assert.deepEqual([code, stderr], [0, ""]);
    return into;
  };

  /** What `tree list` says inside, of a root made of these, the topmost first. */
  const shown = async (...layers: readonly string[]): Promise<readonly string[]> => {
    const [top = "", ...below] = layers;
    const words = [...below.flatMap((layer) => ["--image", layer]), "--bind", `${trees.tree}:/run/tree:ro`];
    const { code, stdout, stderr } = await sandbox.run(words, ["/run/tree", "list", "/"], { image: top });
    assert.equal(code, 0, stderr);
    return lines(stdout).filter((line) => !/^(\.|dev|proc|run|tmp)[ /]/.test(line));
  };

  test("a whiteout removes what is below, in whatever order its layer has it", async (t) => {
    if (!needs(t, NEEDS)) return;
    const both = [removed("a/.wh.gone"), removed("b/.wh..wh..opq"), file("b/new"), removed("c/.wh.d"), file("c/d/new")];
    for (const entries of [both, both.toReversed(), [dir("c/d"), ...both], [...both, dir("c/d")]]) {
      const layer = await unpacked(...entries);
      assert.deepEqual(await trees.marks(layer), ["removed ./a/gone", "opaque ./b", "opaque ./c/d"]);
    }
  });

  test("an entry beside a whiteout of the same name is there, and only what is below is not", async (t) => {
    if (!needs(t, NEEDS)) return;
    const whiteout = removed(".wh.name");
    for (const [entry, marks, kind] of [
      [file("name"), [], "100644"],
      [dir("name"), ["opaque ./name"], "40755"],
      [{ name: "name", type: "2", link: "x" }, [], "120777"],
      [{ name: "name", type: "6" }, [], "10644"],
    ] as const) {
      for (const entries of [
        [whiteout, entry],
        [entry, whiteout],
      ]) {
        const layer = await unpacked(...entries);
        assert.deepEqual(await trees.marks(layer), marks);
        assert.equal((await trees.shape(layer))["name"]?.split(" ")[0], kind);
      }
    }
  });

  test("names of whiteouts are ordinary ones in what is no layer", async (t) => {
    if (!needs(t, NEEDS)) return;
    const { into } = await trees.unpack(archive(file(".wh.x"), file("a/.wh..wh..opq"), file(".wh.d/x")));
    assert.deepEqual(await trees.marks(into), []);
    assert.deepEqual(Object.keys(await trees.shape(into)), [".", ".wh.d", ".wh.d/x", ".wh.x", "a", "a/.wh..wh..opq"]);
  });

  for (const [title, entry, says] of [
    [
      "a root that hides all",
      removed(".wh..wh..opq"),
      "`.wh..wh..opq` hides all layers below: use this one without them",
    ],
    ["no name", removed("a/.wh."), "`a/.wh.` is a whiteout of nothing"],
    ["itself", removed(".wh.."), "`.wh..` is a whiteout of nothing"],
    ["what is around it", removed("a/.wh..."), "`a/.wh...` is a whiteout of nothing"],
    ["a whiteout", removed(".wh..wh.x"), "`.wh..wh.x` is a whiteout of nothing"],
    ["a directory", dir("a/.wh.x"), "`a/.wh.x` has the name of a whiteout and is no empty file"],
    ["contents", file("a/.wh.x"), "`a/.wh.x` has the name of a whiteout and is no empty file"],
    ["something below it", file(".wh.x/y"), "`.wh.x/y` is below what has the name of a whiteout"],
    ["a link to one", { name: "y", type: "1", link: "x" }, "`y` is a hard link to what the archive has not brought"],
  ] as const) {
    test(`a whiteout that is wrong is refused: ${title}`, async (t) => {
      if (!needs(t, NEEDS)) return;
      const { code, stderr, into } = await trees.unpack(archive(removed(".wh.x"), entry), ["--layer"]);
      assert.deepEqual([code, stderr], [125, `toroid-sandbox: unpack: ${says}\n`]);
      assert.deepEqual(await trees.shape(into), { ".": "40755 0:0" });
    });
  }

  describe("an image of several", () => {
    const LAYERS: readonly (readonly Entry[])[] = [
      [
        dir("usr"),
        dir("usr/bin"),
        { ...file("usr/bin/tool", "one"), mode: 0o4755 },
        { name: "usr/bin/same", type: "1", link: "usr/bin/tool" },
        dir("etc", { mode: 0o750, gid: 12 }),
        file("etc/a"),
        file("etc/b"),
        dir("var"),
        dir("var/cache"),
        file("var/cache/old"),
        dir("var/lib"),
        file("var/lib/state"),
        { name: "lib", type: "2", link: "usr/lib" },
        dir("opt", { uid: 1000, gid: 1000, mtime: 5 }),
        file("opt/replaced"),
      ],
      [
        dir("etc", { mode: 0o700, gid: 12 }),
        removed("etc/.wh.a"),
        { ...file("etc/b", "changed"), uid: 7 },
        dir("var"),
        dir("var/cache"),
        removed("var/cache/.wh..wh..opq"),
        file("var/cache/new"),
        dir("usr"),
        dir("usr/bin"),
        { ...file("usr/bin/tool", "two"), mode: 0o755 },
      ],
      [
        dir("etc", { mode: 0o700, gid: 12 }),
        file("etc/a", "again"),
        removed(".wh.lib"),
        dir("var"),
        removed("var/.wh.lib"),
        removed(".wh.opt"),
        dir("opt", { mode: 0o711, mtime: 7 }),
        file("opt/kept"),
      ],
    ];
    const EXPECTED = {
      etc: "40700 0:12",
      "etc/a": "again",
      "etc/b": "changed",
      opt: "40711 0:0",
      "opt/kept": "opt/kept",
      usr: "40755 0:0",
      "usr/bin": "40755 0:0",
      "usr/bin/same": "one",
      "usr/bin/tool": "two",
      var: "40755 0:0",
      "var/cache": "40755 0:0",
      "var/cache/new": "var/cache/new",
    };

    test("is what its layers say, each over those before", async (t) => {
      if (!needs(t, NEEDS)) return;
      const layers = await Promise.all(LAYERS.map((entries) => unpacked(...entries)));
      const seen = await shown(...layers.toReversed());
      assert.deepEqual(
        seen.map((line) => line.split(" ")[0]),
        Object.keys(EXPECTED),
      );
      assert.match(seen.join("\n"), /^opt 40711 0:0 7\.0/m);
      assert.match(seen.join("\n"), /^usr\/bin\/same 104755 /m);
    });

    test("in an OCI layout of gzip blobs is the tree that umoci makes of it", async (t) => {
      if (!needs(t, NEEDS)) return;
      if (programPath("umoci") === undefined) return t.skip("it needs the program umoci");
      const layout = await makeLayout(
        await trees.dir("oci"),
        LAYERS.map((entries) => archive(...entries)),
      );
      const layers: string[] = [];
      for (const digest of await layersOf(layout)) {
        const blob = await readFile(join(layout, "blobs/sha256", digest));
        const { code, stderr, into } = await trees.unpack(gunzipSync(blob), ["--layer"]);
        assert.deepEqual([code, stderr], [0, ""]);
        layers.push(into);
      }
      const peer = join(await trees.dir("peer"), "bundle");
      await execa("umoci", ["unpack", "--image", `${layout}:test`, peer], { env: { HOME: trees.path } });
      const theirs = (await trees.list(join(peer, "rootfs"))).filter((line) => !line.startsWith(". "));
      assert.deepEqual(await shown(...layers.toReversed()), theirs);
    });

    test("goes on top of a directory, and that on top of the host, whose masks hide nothing of theirs", async (t) => {
      if (!needs(t, NEEDS)) return;
      const base = await trees.dir("base");
      for (const name of ["root", "etc/toroid-b", "home/user"]) await mkdir(join(base, name), { recursive: true });
      for (const name of ["root/ours", "etc/toroid-b/gone", "etc/toroid-b/kept", "home/user/secret"])
        await writeFile(join(base, name), "");
      const layer = await unpacked(removed("etc/toroid-b/.wh.gone"), dir("usr"), removed("usr/.wh.share"));
      const words = ["--image", base, "--image", "host", "--mask", "/home/user"];
      const line = "ls -d /usr/* /etc/passwd | grep -vx '/usr/[^s].*'; ls -A /root /etc/toroid-b /home /home/user";
      const { stdout, stderr } = await sandbox.sh(line, words, { image: layer });
      assert.equal(stderr, "");
      const own = (await readdir("/usr")).filter((name) => name.startsWith("s") && name !== "share");
      assert.deepEqual(stdout.split("\n").filter(Boolean), [
        "/etc/passwd",
        ...own.sort().map((name) => `/usr/${name}`),
        "/etc/toroid-b:",
        "kept",
        "/home:",
        "user",
        "/home/user:",
        "/root:",
        "ours",
      ]);
    });

    test("may have 64 layers", async (t) => {
      if (!needs(t, NEEDS)) return;
      const numbers = Array.from({ length: 64 }, (_, index) => String(index).padStart(2, "0"));
      const layers = await Promise.all(numbers.map((number) => unpacked(file(`f${number}`), file("all", number))));
      const seen = await shown(...layers);
      assert.deepEqual(
        seen.map((line) => line.split(" ")[0]),
        ["all", ...numbers.map((number) => `f${number}`)],
      );
    });
  });

  test("what is not a layer shines through nothing: an unpacked archive hides the same names below", async (t) => {
    if (!needs(t, NEEDS)) return;
    const [below, above] = [
      await unpacked(file("a/x"), file("b")),
      (await trees.unpack(archive(file("a"), FILE))).into,
    ];
    const seen = await shown(above, below);
    assert.deepEqual(
      seen.map((line) => line.split(" ").slice(0, 2).join(" ")),
      ["a 100644", "b 100644", "file 100644"],
    );
  });
});

/** An image layout with one image `test`, by hand. */
async function makeLayout(path: string, layers: readonly Uint8Array[]): Promise<string> {
  const blobs = join(path, "blobs/sha256");
  await mkdir(blobs, { recursive: true });
  const put = async (mediaType: string, bytes: Uint8Array): Promise<object> => {
    await writeFile(join(blobs, sha256(bytes)), bytes);
    return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length };
  };
  const json = (value: object): Uint8Array => Buffer.from(JSON.stringify(value));
  const type = (what: string): string => `application/vnd.oci.image.${what}`;
  const gzipped = await Promise.all(layers.map((bytes) => put(type("layer.v1.tar+gzip"), gzipSync(bytes))));
  const diffs = layers.map((bytes) => `sha256:${sha256(bytes)}`);
  const about = { architecture: "amd64", os: "linux", config: {}, rootfs: { type: "layers", diff_ids: diffs } };
  const config = await put(type("config.v1+json"), json(about));
  const manifest = { schemaVersion: 2, mediaType: type("manifest.v1+json"), config, layers: gzipped };
  const reference = await put(type("manifest.v1+json"), json(manifest));
  const named = { ...reference, annotations: { "org.opencontainers.image.ref.name": "test" } };
  await writeFile(join(path, "index.json"), json({ schemaVersion: 2, manifests: [named] }));
  await writeFile(join(path, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
  return path;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

interface Reference {
  readonly digest: string;
}

/** Digests of the first image's layers, the lowest first, as a reader of layouts finds them. */
async function layersOf(layout: string): Promise<readonly string[]> {
  const hex = ({ digest }: Reference): string => digest.replace("sha256:", "");
  const read = async (path: string): Promise<string> => readFile(join(layout, path), "utf8");
  const index: { manifests: Reference[] } = JSON.parse(await read("index.json"));
  const [image] = index.manifests;
  assert.ok(image !== undefined);
  const manifest: { layers: Reference[] } = JSON.parse(await read(`blobs/sha256/${hex(image)}`));
  return manifest.layers.map(hex);
}
