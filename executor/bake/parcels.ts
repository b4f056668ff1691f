/** What is put on the instance: the tested checkout, and what runs wrote into their root, each as a compressed archive. */
import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { ToroidError } from "../../protocol/errors.ts";

/** Fast: it is uploaded once, and unpacked once. */
const LEVEL = 1;

/** Everything in `checkout` but its repository, whose objects are elsewhere; owned by root. Throws when we may not read. */
export async function packCheckout(checkout: string, file: string, signal: AbortSignal): Promise<void> {
  const args = ["--create", "--file=-", "--directory", checkout, "--format=posix", "--owner=0", "--group=0"];
  args.push("--numeric-owner", "--sparse", "--exclude=./.git", ".");
  const tar = spawn("tar", args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], LC_ALL: "C" },
  });
  let words = "";
  tar.stderr.setEncoding("utf8").on("data", (text: string) => {
    words = (words + text).slice(0, 1_000);
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    tar.once("error", reject);
    tar.once("close", resolve);
  });
  await Promise.all([compressed(tar.stdout, file, signal), ended]);
  if ((await ended) === 0) return;
  if (/Permission denied/.test(words)) throw Object.assign(new Error(words.trim()), { code: "EACCES" });
  throw new ToroidError("TOR_INTERNAL", `tar cannot pack the checkout: ${words.trim()}`);
}

export async function compressed(from: Readable, file: string, signal: AbortSignal): Promise<void> {
  await pipeline(from, createGzip({ level: LEVEL }), createWriteStream(file, { mode: 0o644 }), { signal });
}
