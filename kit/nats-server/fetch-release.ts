import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { PINNED_VERSION } from "./version.ts";

const run = promisify(execFile);
/** A closed network must cost seconds, not the minutes of a TCP timeout. */
const CONNECT_MS = 4_000;
const DOWNLOAD_MS = 120_000;

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/**
 * Unpacks the official release archive below `into` and answers where the binary lies.
 *
 * The checksum is read from the `SHA256SUMS` of the same release over https: that catches a damaged or truncated
 * download, not a release that was replaced at its source.
 */
export async function fetchRelease(into: string): Promise<string> {
  const architecture = ARCHITECTURES[process.arch];
  if (architecture === undefined || process.platform !== "linux") {
    throw new Error(`no archive is known for ${process.platform} on ${process.arch}`);
  }
  const folder = `nats-server-v${PINNED_VERSION}-linux-${architecture}`;
  const release = `https://github.com/nats-io/nats-server/releases/download/v${PINNED_VERSION}`;
  const sums = (await download(`${release}/SHA256SUMS`, CONNECT_MS)).toString("utf8");
  const expected = checksumIn(sums, `${folder}.tar.gz`);
  const archive = await download(`${release}/${folder}.tar.gz`, DOWNLOAD_MS);
  const actual = createHash("sha256").update(archive).digest("hex");
  if (actual !== expected)
    throw new Error(`the checksum of ${folder}.tar.gz is ${actual}, the release says ${expected}`);
  const file = join(into, "release.tar.gz");
  await writeFile(file, archive);
  await run("tar", ["-xzf", file, "-C", into, "--no-same-owner", `${folder}/nats-server`]);
  return join(into, folder, "nats-server");
}

/** The checksum of `file` in the text of a `SHA256SUMS` (`<hex>  <name>`, or `<hex> *<name>`). */
export function checksumIn(sums: string, file: string): string {
  for (const line of sums.split("\n")) {
    const [, hex, name] = /^([0-9a-f]{64})\s+\*?(?:\.\/)?(\S+)\s*$/.exec(line) ?? [];
    if (hex !== undefined && name === file) return hex;
  }
  throw new Error(`SHA256SUMS of the release does not name ${file}`);
}

async function download(url: string, timeoutMs: number): Promise<Buffer> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  } catch (error) {
    throw new Error(`cannot download ${url}: ${reasonOf(error)}`, { cause: error });
  }
}

/** `fetch` says "fetch failed" and keeps what happened in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
