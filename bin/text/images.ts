/** Images that are kept, for people. */
import { oneLine, table } from "./output.ts";
import { age } from "./time.ts";

interface Image {
  readonly names: readonly string[];
  readonly kind: string;
  readonly digest: string;
  readonly bytes: number;
  readonly usedAtMs: number;
  readonly inUse: boolean;
}

interface Gone {
  readonly bytes: number;
  readonly usedAtMs: number;
  readonly record: { readonly kind: string; readonly shown: string; readonly digest: string };
}

export function imageTable(images: readonly Image[], bytes: number, nowMs: number): string {
  const rows = images.map((image) => [
    oneLine(image.names.join(", ") || "-", 60),
    image.kind,
    shortDigest(image.digest),
    size(image.bytes),
    age(image.usedAtMs, nowMs),
    image.inUse ? "in use" : "",
  ]);
  return table([["IMAGE", "KIND", "DIGEST", "SIZE", "USED", ""], ...rows, ["all", "", "", size(bytes), "", ""]]);
}

export function roomReport(
  o: { readonly gone: readonly Gone[]; readonly bytesBefore: number; readonly bytesAfter: number },
  dryRun: boolean,
  nowMs: number,
): string {
  const rows = o.gone.map(({ bytes, usedAtMs, record: { kind, shown, digest } }) => [
    dryRun ? "would go" : "gone",
    kind,
    oneLine(shown || "-", 60),
    shortDigest(digest),
    size(bytes),
    age(usedAtMs, nowMs),
  ]);
  const last = `${size(o.bytesBefore)} before, ${size(o.bytesAfter)} ${dryRun ? "then" : "now"}\n`;
  return table([["", "KIND", "OF", "DIGEST", "SIZE", "USED"], ...rows]) + last;
}

/** Three digits are enough to choose by. */
export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  const value = bytes / 1024 ** step;
  return `${step === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[step] ?? ""}`;
}

function shortDigest(digest: string): string {
  return digest.replace(/^(sha\d+:.{12}).*$/, "$1");
}
