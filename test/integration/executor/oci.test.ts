/** OCI images, by real skopeo from a real registry, and from files: fetched once, checked, their layers shared. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { access, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { execa } from "execa";
import { Hold, type ImageCache } from "../../../executor/images/cache.ts";
import { Refused } from "../../../executor/images/oci/refused.ts";
import { Skopeo, type SkopeoSettings } from "../../../executor/images/oci/skopeo.ts";
import { OciImages, type OciWant, type Stack } from "../../../executor/images/oci.ts";
import { TarImages } from "../../../executor/images/tar.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import { ociReferenceOf } from "../../../protocol/pipeline/oci-reference.ts";
import { HELPER } from "../../abuse/rig.ts";
import { imageCache, want } from "../../support/image-cache.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../../support/leaks.ts";
import { makeLayout, sha256 } from "../../support/oci-layout.ts";
import { insecure, Registry, registryOrWhyNot } from "../../support/registry.ts";
import { missing, needs } from "../../support/skips.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";
import { archive } from "../sandbox/archives.ts";

const NEEDS = { root: true, path: HELPER, program: "skopeo" } as const;
const T = { timeout: 120_000 };
/** Whose password is `secret`. */
const ADA = "ada:$2y$05$eCtYcHNodKXRPunAJ1azP.b.RWCmr06fYZM0Pv5UQprk76.Ohvd8O";
const BASE = archive({ name: "base", data: "base" }, { name: "both", data: "lower" });
const TOP = archive({ name: "top", data: "top" }, { name: "both", data: "upper" });

describe("an OCI image", () => {
  let dir: TempDir;
  let registry: Registry;
  let leaks: Snapshot;
  let count = 0;
  /** What else keeps the tests from running; undefined: nothing. */
  let other: string | undefined;
  before(async () => {
    if (missing(NEEDS) !== undefined) return;
    leaks = await snapshot();
    dir = await tempDir("toroid-oci-");
    const started = await registryOrWhyNot();
    if (typeof started === "string") other = started;
    else registry = started;
  });
  after(async () => {
    if (missing(NEEDS) !== undefined) return;
    await registry?.[Symbol.asyncDispose]();
    await dir[Symbol.asyncDispose]();
    await assertNoLeaks(leaks);
  });

  const place = (): string => {
    count += 1;
    return join(dir.path, String(count));
  };
  const cacheHere = async (): Promise<ImageCache> => imageCache(place());
  const ociOf = (cache: ImageCache, over: Partial<SkopeoSettings> = {}, refreshMs = 600_000): OciImages => {
    const settings = { program: null, authFile: null, registriesFile: registry.registriesFile, ...over };
    return new OciImages(cache, { skopeo: new Skopeo(settings), refreshMs });
  };
  const wanted = (hold = new Hold()): OciWant => ({ hold, signal: new AbortController().signal, log: null });
  const from = async (oci: OciImages, text: string, hold?: Hold): Promise<Stack> => {
    const reference = ociReferenceOf(text);
    assert.ok("kind" in reference && reference.kind === "registry", text);
    return oci.ofRegistry(reference, wanted(hold));
  };
  const stored = async (cache: ImageCache): Promise<readonly string[]> =>
    (await cache.kept()).map(({ record }) => record.digest).sort();
  const read = (roots: readonly string[], name: string): Promise<readonly (string | null)[]> =>
    Promise.all(roots.map((root) => readFile(join(root, name), "utf8").catch(() => null)));

  test("of a registry is what its tag means, with its digest, its layers and its variables", T, async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    const layout = await makeLayout(place(), { layers: [BASE, TOP], env: ["PATH=/opt/bin", "EMPTY=", "A=b=c"] });
    const cache = await cacheHere();
    const { roots, digest, variables } = await from(ociOf(cache), await registry.push(layout.path, "plain:1"));
    assert.equal(digest, layout.digests[0]);
    assert.deepEqual(await read(roots, "both"), ["upper", "lower"]);
    assert.deepEqual(variables, { PATH: "/opt/bin", EMPTY: "", A: "b=c" });
    assert.deepEqual(await stored(cache), [BASE, TOP].map(sha256).sort());
    assert.deepEqual(
      (await readdir(cache.index.dir)).filter((name) => name.startsWith(".")),
      [],
    );
  });

  test("is not asked for again while its tag is believed, and never when it is named by its digest", T, async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    const [one, two] = [
      await makeLayout(place(), { layers: [BASE] }),
      await makeLayout(place(), { layers: [BASE, TOP] }),
    ];
    const cache = await cacheHere();
    const name = await registry.push(one.path, "moving:1");
    const first = await from(ociOf(cache), name);
    await registry.push(two.path, "moving:1");
    assert.equal((await from(ociOf(cache), name)).digest, first.digest);
    assert.equal((await from(ociOf(cache, {}, 0), name)).digest, two.digests[0]);
    const exact = `${name}@${first.digest}`;
    assert.equal((await from(ociOf(cache), exact)).digest, first.digest);
    const alone = ociOf(cache, { program: "/bin/false" }, 0);
    assert.deepEqual((await from(alone, exact)).roots, first.roots);
  });

  test("shares layers with others, and what is there is not fetched again", T, async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    const lower = archive({ name: "shared", data: "x".repeat(100_000) });
    const one = await makeLayout(place(), { layers: [lower] });
    const two = await makeLayout(place(), { layers: [lower, TOP] });
    const [first, second] = [await registry.push(one.path, "shared:1"), await registry.push(two.path, "shared:2")];
    const cache = await cacheHere();
    const { roots } = await from(ociOf(cache), first);
    await rm(registry.blob(one.blobs[0] ?? ""));
    const more = await from(ociOf(cache), second);
    assert.deepEqual(more.roots.slice(1), roots);
    assert.deepEqual(await read(more.roots, "top"), ["top", null]);
    await assert.rejects(from(ociOf(await cacheHere()), second), "the layer cannot be fetched any more");
  });

  test(
    "for several processors is the one for this, and says for which there is one when there is not",
    T,
    async (t) => {
      if (!needs(t, { ...NEEDS, other })) return;
      const here = process.arch === "x64" ? "amd64" : process.arch;
      const many = await makeLayout(place(), { layers: [BASE], architectures: ["s390x", here] });
      const none = await makeLayout(place(), { layers: [BASE], architectures: ["s390x", "riscv64"] });
      const found = await from(ociOf(await cacheHere()), await registry.push(many.path, "many:1"));
      assert.deepEqual([found.digest, found.roots.length], [many.digests[0], 1]);
      await assert.rejects(
        from(ociOf(await cacheHere()), await registry.push(none.path, "none:1")),
        (error) =>
          error instanceof Refused &&
          error.message.endsWith(`none:1 has no image for linux/${here}: it is there for linux/s390x, linux/riscv64`),
      );
    },
  );

  for (const compress of ["gzip", "zstd", "none"] as const) {
    test(`in files may have its layers compressed or not: ${compress}`, T, async (t) => {
      if (!needs(t, { ...NEEDS, other })) return;
      const { path, digests } = await makeLayout(place(), { layers: [BASE, TOP], compress });
      const { roots, digest } = await ociOf(await cacheHere()).ofFiles(path, null, "x", wanted());
      assert.deepEqual([await read(roots, "both"), digest], [["upper", "lower"], digests[0]]);
    });
  }

  test("may be in archives, as skopeo and docker write them", T, async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    const { path } = await makeLayout(place(), { layers: [BASE, TOP, BASE], env: ["A=b"] });
    const cache = await cacheHere();
    const [tars, oci] = [new TarImages(cache), ociOf(cache)];
    for (const [transport, tag] of [
      ["oci-archive", "small"],
      ["docker-archive", "small:1"],
    ] as const) {
      const file = `${place()}.tar`;
      await execa("skopeo", ["--insecure-policy", "copy", `oci:${path}`, `${transport}:${file}:${tag}`]);
      for (const name of [null, tag]) {
        const { root } = await tars.unpacked(file, transport, want());
        const { roots, variables } = await oci.ofFiles(root, name, transport, wanted());
        // Of two of the same the upper one is enough.
        assert.deepEqual([await read(roots, "both"), variables], [["lower", "upper"], { A: "b" }], transport);
      }
      const { root } = await tars.unpacked(file, transport, want());
      await assert.rejects(oci.ofFiles(root, "other", "x", wanted()), /^Refused: x.* it has (small|\S*small:1)$/);
    }
  });

  test("with a layer that was tampered with is refused with its digest, and none of that is kept", T, async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    const evil = await makeLayout(place(), { layers: [TOP] });
    for (const [compress, bytes] of [
      ["none", archive({ name: "evil", data: "evil" })],
      ["gzip", await readFile(join(evil.path, "blobs", (evil.blobs[0] ?? "").replace(":", "/")))],
      ["gzip", Buffer.from("nothing")],
    ] as const) {
      const layout = await makeLayout(place(), { layers: [BASE, archive({ name: "good" })], compress });
      const blob = layout.blobs[1] ?? "";
      await writeFile(join(layout.path, "blobs", blob.replace(":", "/")), bytes);
      const cache = await cacheHere();
      await assert.rejects(ociOf(cache).ofFiles(layout.path, "test", "here", wanted()), {
        code: "TOR_IMAGE_DAMAGED",
        message: new RegExp(`^here is not what it says it is: the layer ${blob} has the digest ${sha256(bytes)};`),
      });
      assert.deepEqual(await stored(cache), [sha256(BASE)]);
      const left = await readdir(join(cache.rootOf("x"), ".."));
      assert.equal(left.length, 1, left.join());
    }
  });

  test("whose layers are not what its configuration says is refused", T, async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    const wrong = await makeLayout(place(), { layers: [BASE], diffIds: [sha256(TOP)] });
    const cache = await cacheHere();
    await assert.rejects(ociOf(cache).ofFiles(wrong.path, null, "here", wanted()), {
      code: "TOR_IMAGE_DAMAGED",
      message: new RegExp(`the layer ${sha256(TOP)} has the digest ${sha256(BASE)};`),
    });
    const short = await makeLayout(place(), { layers: [BASE, TOP], diffIds: [sha256(BASE)] });
    await assert.rejects(
      ociOf(cache).ofFiles(short.path, null, "here", wanted()),
      /^Refused: here is no whole image: its configuration knows 1 layers, its manifest 2$/,
    );
    assert.deepEqual(await stored(cache), []);
  });

  test("that a registry has not got right is not taken", T, async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    const layout = await makeLayout(place(), { layers: [archive({ name: "first" })] });
    const name = await registry.push(layout.path, "tampered:1");
    const blob = registry.blob(layout.blobs[0] ?? "");
    const bytes = await readFile(blob);
    bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1;
    await writeFile(blob, bytes);
    const cache = await cacheHere();
    await assert.rejects(from(ociOf(cache), name), (error) => {
      assert.ok(error instanceof ToroidError && error.code === "TOR_IMAGE_DAMAGED", String(error));
      assert.ok(error.message.includes(layout.blobs[0] ?? "?"), error.message);
      return true;
    });
    assert.deepEqual(await stored(cache), []);
  });

  test("that is not there, or whose registry is not, is told in one sentence, and why", T, async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    const layout = await makeLayout(place(), { layers: [BASE] });
    const name = await registry.push(layout.path, "there:1");
    const cache = await cacheHere();
    for (const wrong of ["there:2", "elsewhere:1"]) {
      await assert.rejects(
        from(ociOf(cache), `${registry.address}/${wrong}`),
        new RegExp(
          `^Refused: the image ${registry.address}/${wrong} is not there, ${registry.address} says: mind the spelling`,
        ),
      );
    }
    await assert.rejects(from(ociOf(cache, { program: "/nonexistent" }), name), { code: "TOR_CONFIG_INVALID" });
    await using closed = await Registry.start();
    const registriesFile = `${place()}.conf`;
    await writeFile(registriesFile, insecure(registry.address, closed.address));
    const oci = ociOf(cache, { registriesFile }, 0);
    const gone = await closed.push(layout.path, "gone:1");
    const { digest } = await from(oci, gone);
    await closed[Symbol.asyncDispose]();
    await assert.rejects(from(oci, `${closed.address}/other:1`), {
      code: "TOR_REGISTRY_UNREACHABLE",
      message: /^the registry 127\.0\.0\.1:\d+ cannot be reached for \S+: .*connection refused/,
    });
    assert.equal((await from(oci, gone)).digest, digest, "what was there before is there still");
  });

  test("behind a login is there for who was given one", T, async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    await using locked = await Registry.start({ htpasswd: ADA });
    const layout = await makeLayout(place(), { layers: [BASE] });
    const name = await locked.push(layout.path, "locked:1", ["--dest-creds", "ada:secret"]);
    const settings = { registriesFile: locked.registriesFile };
    await assert.rejects(from(ociOf(await cacheHere(), settings), name), {
      code: "TOR_REGISTRY_AUTH",
      message:
        /^127\.0\.0\.1:\d+ wants a login for \S+locked:1, or has no such image: give the executor a login by TOROID_REGISTRY_AUTH \(/,
    });
    const authFile = `${place()}.json`;
    const auth = (login: string): string =>
      JSON.stringify({ auths: { [locked.address]: { auth: Buffer.from(login).toString("base64") } } });
    await writeFile(authFile, auth("ada:wrong"));
    await assert.rejects(from(ociOf(await cacheHere(), { ...settings, authFile }), name), {
      code: "TOR_REGISTRY_AUTH",
      message: /its login in \S+\.json \(TOROID_REGISTRY_AUTH\) is missing, or may not read it$/,
    });
    await writeFile(authFile, auth("ada:secret"));
    const { digest } = await from(ociOf(await cacheHere(), { ...settings, authFile }), name);
    assert.equal(digest, layout.digests[0]);
  });

  test("that several want at once is fetched once", T, async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    const layout = await makeLayout(place(), { layers: [BASE, TOP] });
    const name = await registry.push(layout.path, "wanted:1");
    const log = `${place()}.log`;
    const program = `${place()}-skopeo`;
    await writeFile(program, `#!/bin/sh\necho "$*" >> ${log}\nexec skopeo "$@"\n`, { mode: 0o755 });
    const cache = await cacheHere();
    const all = await Promise.all(Array.from({ length: 6 }, () => from(ociOf(cache, { program }), name)));
    assert.equal(new Set(all.map(({ roots }) => roots.join())).size, 1);
    const copies = (await readFile(log, "utf8")).split("\n").filter((line) => / copy /.test(line));
    assert.equal(copies.length, 1, copies.join("\n"));
  });

  test("for which there is no room makes room by what nobody uses, and leaves no half of itself", T, async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    const [small, large] = [archive({ name: "small", data: "s" }), archive({ name: "l", data: randomBytes(6 << 20) })];
    const [one, two] = [await makeLayout(place(), { layers: [small] }), await makeLayout(place(), { layers: [large] })];
    const cache = await cacheHere();
    const store = dirname(cache.rootOf("x"));
    await execa("mount", ["-t", "tmpfs", "-o", "size=4m", "toroid-test", store]);
    try {
      const hold = new Hold();
      await ociOf(cache).ofFiles(one.path, null, "one", wanted(hold));
      await assert.rejects(ociOf(cache).ofFiles(two.path, null, "two", wanted()), { code: "TOR_DISK_FULL" });
      assert.deepEqual([await stored(cache), (await readdir(store)).length], [[sha256(small)], 1]);
      await hold[Symbol.asyncDispose]();
      await assert.rejects(ociOf(cache).ofFiles(two.path, null, "two", wanted()), { code: "TOR_DISK_FULL" });
      assert.deepEqual([await stored(cache), await readdir(store)], [[], []]);
    } finally {
      await execa("umount", [store]);
    }
  });

  test("goes when it is too much and nobody uses it, what was not used for the longest first", T, async (t) => {
    if (!needs(t, { ...NEEDS, other })) return;
    const sized = (name: string): Uint8Array => archive({ name, data: Buffer.alloc(1 << 20, name) });
    const layouts = await Promise.all(["a", "b", "c"].map((name) => makeLayout(place(), { layers: [sized(name)] })));
    const cache = await imageCache(place(), (2 << 20) + (1 << 19));
    const oci = ociOf(cache);
    const take = async (at: number, hold: Hold): Promise<string> =>
      (await oci.ofFiles(layouts[at]?.path ?? "", null, "x", wanted(hold))).roots[0] ?? "";
    const [first, second, third] = [new Hold(), new Hold(), new Hold()];
    const a = await take(0, first);
    const b = await take(1, second);
    await second[Symbol.asyncDispose]();
    const c = await take(2, third);
    // The older one is in use.
    await access(a);
    await access(c);
    await assert.rejects(access(b));
    await first[Symbol.asyncDispose]();
    await take(1, second);
    await assert.rejects(access(a));
    for (const hold of [second, third]) await hold[Symbol.asyncDispose]();
  });
});
