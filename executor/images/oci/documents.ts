/** What an OCI image is described by: index, manifest and configuration, Docker's of the same meaning too. Pure. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { ToroidError } from "../../../protocol/errors.ts";
import { OCI_DIGEST } from "../../../protocol/pipeline/oci-reference.ts";
import { Refused } from "./refused.ts";

/** As registries and their clients have it. */
export const DOCUMENT_MOST_BYTES = 4 * 1024 * 1024;

const descriptor = z.looseObject({
  mediaType: z.string().default(""),
  digest: z.string().regex(OCI_DIGEST),
  size: z.number().int().nonnegative(),
  platform: z.looseObject({ os: z.string(), architecture: z.string(), variant: z.string().optional() }).optional(),
  annotations: z.record(z.string(), z.string()).nullish(),
});
export type Descriptor = z.infer<typeof descriptor>;

const index = z.looseObject({ manifests: z.array(descriptor) });
export type Index = z.infer<typeof index>;

const manifest = z.looseObject({ config: descriptor, layers: z.array(descriptor) });
export type Manifest = z.infer<typeof manifest>;

export type Document =
  | { readonly kind: "index"; readonly index: Index }
  | { readonly kind: "manifest"; readonly manifest: Manifest };

const config = z.looseObject({
  rootfs: z.looseObject({ diff_ids: z.array(z.string().regex(OCI_DIGEST)) }),
  config: z.looseObject({ Env: z.array(z.string()).nullish() }).nullish(),
});

/** @throws {Refused} */
export function documentOf(bytes: Uint8Array, shown: string): Document {
  const json = jsonOf(bytes, shown);
  const asIndex = index.safeParse(json);
  if (asIndex.success) return { kind: "index", index: asIndex.data };
  const asManifest = manifest.safeParse(json);
  if (asManifest.success) return { kind: "manifest", manifest: asManifest.data };
  throw new Refused(`${shown} is described in a way that is not known here: push it anew with a tool of these days`);
}

/** @throws {Refused} */
export function configOf(
  bytes: Uint8Array,
  shown: string,
): { readonly diffIds: readonly string[]; readonly variables: Readonly<Record<string, string>> } {
  const read = config.safeParse(jsonOf(bytes, shown));
  if (!read.success) throw new Refused(`${shown} is no image of a file system: its configuration lists no layers`);
  const variables = (read.data.config?.Env ?? []).map((one) => {
    const at = one.indexOf("=");
    return at < 0 ? [one, ""] : [one.slice(0, at), one.slice(at + 1)];
  });
  return { diffIds: read.data.rootfs.diff_ids, variables: Object.fromEntries(variables) as Record<string, string> };
}

/**
 * The one for Linux on `architecture`, as Go names it.
 *
 * @throws {Refused}
 */
export function chosen({ manifests }: Pick<Index, "manifests">, architecture: string, shown: string): Descriptor {
  const found = manifests.find(({ platform }) => platform?.os === "linux" && platform.architecture === architecture);
  // Layouts of one image mostly do not say for what it is.
  const [only, ...others] = manifests.filter(({ platform }) => platform === undefined);
  if (found !== undefined) return found;
  if (only !== undefined && others.length === 0) return only;
  const has = manifests.flatMap(({ platform }) =>
    platform === undefined || platform.os === "unknown" ? [] : [`${platform.os}/${platform.architecture}`],
  );
  const list = has.length === 0 ? "for nothing that it tells" : `for ${[...new Set(has)].join(", ")}`;
  throw new Refused(`${shown} has no image for linux/${architecture}: it is there ${list}`);
}

/** The processor that this host has, as images say it. */
export function architectureHere(): string {
  const names: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };
  return names[process.arch] ?? process.arch;
}

/** @throws {Refused} for what has no file system in it */
export function assertLayers(one: Manifest, shown: string): void {
  const other = one.layers.find(({ mediaType }) => mediaType !== "" && !/\btar\b/.test(mediaType));
  if (other === undefined && one.layers.length > 0) return;
  const what = other === undefined ? "it has no layers" : `it has ${other.mediaType.slice(0, 100)}`;
  throw new Refused(`${shown} is no image of a file system: ${what}`);
}

/** @throws {ToroidError} TOR_IMAGE_DAMAGED */
export function assertDigest(bytes: Uint8Array, digest: string, what: string, shown: string): void {
  const is = digestOf(bytes, digest);
  if (is !== digest) throw damaged(shown, what, digest, is);
}

/** By the same algorithm as `like`. */
export function digestOf(bytes: Uint8Array, like = "sha256:"): string {
  const algorithm = like.slice(0, like.indexOf(":"));
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

export function damaged(shown: string, what: string, digest: string, is: string): ToroidError {
  return new ToroidError(
    "TOR_IMAGE_DAMAGED",
    `${shown} is not what it says it is: ${what} ${digest} has the digest ${is}; it was damaged or tampered with, so push it anew`,
    { digest, is },
  );
}

function jsonOf(bytes: Uint8Array, shown: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    throw new Refused(`${shown} is no image: what should describe it is no JSON`);
  }
}
