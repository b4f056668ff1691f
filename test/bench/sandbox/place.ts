/**
 * Where runs are measured: a network and a mount namespace of the benchmark's own, and in it a new ext4 for what they
 * write. Not the disk as it is found: ext4 without a journal, which some virtual machines have, makes an inode the slower
 * the more were deleted in the last minutes, and then the figures tell of what the machine did before.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { type Namespace, namespace } from "../../support/namespace.ts";

const DISK_BYTES = "4G"; // sparse

export interface Place extends AsyncDisposable {
  readonly host: Namespace;
  /** The directory, as it is seen in there. */
  readonly runs: string;
  /** What it lies on. */
  readonly disk: string;
}

export async function makePlace(dir: string): Promise<Place> {
  const host = await namespace();
  const runs = join(dir, "runs");
  await mkdir(runs, { mode: 0o700 });
  const disk = join(dir, "disk");
  try {
    await execa("truncate", ["-s", DISK_BYTES, disk]);
    await execa("mke2fs", ["-q", "-t", "ext4", "-E", "root_owner=0:0,lazy_itable_init=0", disk]);
    await host.sh(`mount -o loop,noatime '${disk}' '${runs}' && chmod 700 '${runs}'`);
    return place(host, runs, "a new ext4 on a loop device");
  } catch {
    return place(host, runs, "the disk as it is: no new ext4 can be mounted here");
  }
}

function place(host: Namespace, runs: string, disk: string): Place {
  return { host, runs, disk, [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() };
}
