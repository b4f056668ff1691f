/** What people do with the images that a host keeps, whether its executor runs or not: look, remove, make room. */
import { ToroidError } from "../../protocol/errors.ts";
import { ociReferenceOf, ociReferenceText } from "../../protocol/pipeline/oci-reference.ts";
import type { ImageCache, KeptEntry } from "./cache.ts";

/** An image as people know it: what has a name or a digest. */
export interface KeptImage {
  /** Several when several tags mean the same. */
  readonly names: readonly string[];
  /** `layer`: one that no image has that is there. */
  readonly kind: "oci" | "tar" | "packer" | "debian" | "layer";
  readonly digest: string;
  /** What it takes with all that it shares with others. */
  readonly bytes: number;
  readonly usedAtMs: number;
  /** Some stage stands on it, or on a part of it. */
  readonly inUse: boolean;
}

interface Part extends KeptImage {
  /** Of an OCI image. */
  readonly record: string | null;
  /** Of its directories. */
  readonly stored: readonly string[];
}

/** The one that was used last first; `bytes` is what all take together. */
export async function keptImages(
  cache: ImageCache,
): Promise<{ readonly images: readonly KeptImage[]; readonly bytes: number }> {
  const { parts, kept } = await look(cache);
  const images = parts.map(({ names, kind, digest, bytes, usedAtMs, inUse }) => {
    return { names, kind, digest, bytes, usedAtMs, inUse };
  });
  return {
    images: images.toSorted((a, b) => b.usedAtMs - a.usedAtMs),
    bytes: kept.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/**
 * Removes one by its name, its digest or the beginning of that, with what it shares with no other.
 *
 * @throws {ToroidError} TOR_NOT_FOUND, TOR_REFUSED while a stage stands on it, TOR_INVALID_INPUT for what means several
 */
export async function removeImage(cache: ImageCache, what: string): Promise<KeptImage> {
  const { parts } = await look(cache);
  const meant = parts.filter((part) => isMeant(part, what));
  const [part, ...others] = meant;
  if (part === undefined)
    throw new ToroidError("TOR_NOT_FOUND", `no image is kept that is ${what}: \`toroid image ls\``);
  if (others.length > 0) {
    const digests = meant.map(({ digest }) => digest).join(", ");
    throw new ToroidError("TOR_INVALID_INPUT", `${what} is more than one image: say which by its digest, ${digests}`);
  }
  if (part.inUse) throw new ToroidError("TOR_REFUSED", `${what} is in use by a stage: try again when that has ended`);
  if (part.record !== null) await forget(cache, part.record, part.digest);
  const shared = new Set(parts.flatMap((one) => (one === part ? [] : one.stored)));
  for (const name of part.stored) {
    if (shared.has(name) || (await cache.remove(name)) || part.record !== null) continue;
    throw new ToroidError("TOR_REFUSED", `${what} is in use by now: try again later`);
  }
  return part;
}

export interface Room {
  /** What went, or would. */
  readonly gone: readonly KeptEntry[];
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** Removes layers of no image, and then what was not used for the longest, until there are `mostBytes`; null: no limit. */
export async function makeRoom(cache: ImageCache, mostBytes: number | null, dryRun: boolean): Promise<Room> {
  const { parts, kept } = await look(cache);
  const orphans = new Set(parts.flatMap(({ kind, inUse, stored }) => (kind === "layer" && !inUse ? stored : [])));
  const gone: KeptEntry[] = [];
  for (const one of kept.filter(({ key }) => orphans.has(key)))
    if (dryRun || (await cache.remove(one.key))) gone.push(one);
  if (mostBytes !== null) {
    const without = new Set(gone.map(({ key }) => key));
    gone.push(...(dryRun ? await cache.wouldGo(mostBytes, without) : await cache.shrink(mostBytes)));
  }
  if (!dryRun) await forgetBroken(cache);
  const sum = (all: readonly KeptEntry[]): number => all.reduce((bytes, one) => bytes + one.bytes, 0);
  return { gone, bytesBefore: sum(kept), bytesAfter: sum(kept) - sum(gone) };
}

async function look(cache: ImageCache): Promise<{ parts: readonly Part[]; kept: readonly KeptEntry[] }> {
  const { index } = cache;
  const [kept, records, names] = await Promise.all([cache.kept(), index.all("oci"), index.all("names")]);
  const byKey = new Map(kept.map((one) => [one.key, one]));
  const whole = records.filter(({ record }) => record.layers.every(({ name }) => byKey.has(name)));
  const used = new Set(whole.flatMap(({ record }) => record.layers.map(({ name }) => name)));
  const images = whole.map(({ key, record, usedAtMs }): Part => {
    const layers = record.layers.flatMap(({ name }) => byKey.get(name) ?? []);
    const meaning = names.filter((one) => one.record.image === record.digest).map((one) => one.record);
    return {
      names: meaning.length > 0 ? [...new Set(meaning.map(({ name }) => name))] : [record.shown],
      kind: "oci",
      // Of an image for several processors, as it was asked for.
      digest: meaning[0]?.digest ?? record.digest,
      bytes: layers.reduce((sum, { bytes }) => sum + bytes, 0),
      usedAtMs,
      inUse: layers.some(({ pinned }) => pinned),
      record: key,
      stored: layers.map((layer) => layer.key),
    };
  });
  const others = kept
    .filter(({ key }) => !used.has(key))
    .map((one): Part => {
      const { kind, shown, digest } = one.record;
      const about = { kind, digest, bytes: one.bytes, usedAtMs: one.usedAtMs, inUse: one.pinned };
      return { ...about, names: shown === "" ? [] : [shown], record: null, stored: [one.key] };
    });
  return { parts: [...images, ...others], kept };
}

function isMeant({ names, digest, kind }: Part, what: string): boolean {
  if (digest === what) return true;
  const hex = what.replace(/^sha256:/, "");
  if (/^[0-9a-f]{8,64}$/.test(hex) && digest.startsWith(`sha256:${hex}`)) return true;
  if (kind === "layer") return false;
  const reference = ociReferenceOf(what);
  return names.includes(what) || ("kind" in reference && names.includes(ociReferenceText(reference)));
}

async function forget({ index }: ImageCache, key: string, digest: string): Promise<void> {
  for (const one of await index.all("names"))
    if (one.record.digest === digest || one.record.image === key.replace("-", ":"))
      await index.remove("names", one.key);
  await index.remove("oci", key);
}

/** Images with a part that is gone are fetched anew when they are wanted. */
async function forgetBroken(cache: ImageCache): Promise<void> {
  const [kept, records] = await Promise.all([cache.index.all("stored"), cache.index.all("oci")]);
  const there = new Set(kept.map(({ key }) => key));
  for (const { key, record } of records)
    if (!record.layers.every(({ name }) => there.has(name))) await forget(cache, key, record.digest);
}
