/** OCI layouts by hand, so that they can be as wrong as a test wants them. */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";

export interface LayoutImage {
  /** Archives, the lowest first. */
  readonly layers: readonly Uint8Array[];
  readonly compress?: "gzip" | "zstd" | "none";
  readonly env?: readonly string[];
  readonly tag?: string;
  /** In an index of its own, beside others for other processors. */
  readonly architectures?: readonly string[];
  /** What the manifest says of layers, where that is not so. */
  readonly diffIds?: readonly string[];
}

export interface Layout {
  readonly path: string;
  /** Of every blob of a layer, in order. */
  readonly blobs: readonly string[];
  /** Of what `index.json` has, in order. */
  readonly digests: readonly string[];
}

export async function makeLayout(path: string, ...images: readonly LayoutImage[]): Promise<Layout> {
  await mkdir(join(path, "blobs/sha256"), { recursive: true });
  const blobs: string[] = [];
  const references: Reference[] = [];
  for (const image of images) {
    const made = await putImage(path, image);
    blobs.push(...made.blobs);
    const name = { "org.opencontainers.image.ref.name": image.tag ?? "test" };
    references.push({ ...made.reference, annotations: name });
  }
  await writeFile(join(path, "index.json"), json({ schemaVersion: 2, manifests: references }));
  await writeFile(join(path, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
  return { path, blobs, digests: references.map(({ digest }) => digest) };
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

interface Reference {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: object;
  readonly platform?: object;
}

async function putImage(path: string, image: LayoutImage): Promise<{ reference: Reference; blobs: readonly string[] }> {
  const { layers, compress = "gzip", env = [], architectures, diffIds = layers.map(sha256) } = image;
  const [suffix, pack] = PACKED[compress];
  const packed = await Promise.all(
    layers.map((bytes) => put(path, type(`layer.v1.tar${suffix}`), new Uint8Array(pack(bytes)))),
  );
  const manifestFor = async (architecture: string): Promise<Reference> => {
    const about = { architecture, os: "linux", config: { Env: env }, rootfs: { type: "layers", diff_ids: diffIds } };
    const config = await put(path, type("config.v1+json"), json(about));
    const manifest = { schemaVersion: 2, mediaType: type("manifest.v1+json"), config, layers: packed };
    return put(path, type("manifest.v1+json"), json(manifest));
  };
  const blobs = packed.map(({ digest }) => digest);
  if (architectures === undefined) return { reference: await manifestFor("amd64"), blobs };
  const manifests = await Promise.all(
    architectures.map(async (architecture) => ({
      ...(await manifestFor(architecture)),
      platform: { os: "linux", architecture },
    })),
  );
  const index = { schemaVersion: 2, mediaType: type("index.v1+json"), manifests };
  return { reference: await put(path, type("index.v1+json"), json(index)), blobs };
}

const PACKED = {
  gzip: ["+gzip", gzipSync],
  zstd: ["+zstd", zstdCompressSync],
  none: ["", (bytes: Uint8Array) => bytes],
} as const;

async function put(path: string, mediaType: string, bytes: Uint8Array): Promise<Reference> {
  const digest = sha256(bytes);
  await writeFile(join(path, "blobs", digest.replace(":", "/")), bytes);
  return { mediaType, digest, size: bytes.length };
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function type(what: string): string {
  return `application/vnd.oci.image.${what}`;
}
