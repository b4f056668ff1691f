import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory of the test's own, gone at the end of the block that holds it. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
}

/** Makes one below the system's temp directory. The name says whose it is: `toroid-<what>-<pid>-…`. */
export async function tempDir(prefix = "toroid-test-"): Promise<TempDir> {
  const path = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`));
  // Executors run as users of their own, and some of what a test gives them lies here.
  await chmod(path, 0o755);
  return { path, [Symbol.asyncDispose]: () => removeTree(path) };
}

/** Deletes a directory, unless something is mounted in it: what lies behind a mount is not the test's to delete. */
export async function removeTree(path: string): Promise<void> {
  const mounts = await mountsIn(path);
  if (mounts.length > 0) throw new Error(`not deleting ${path}: ${mounts.join(", ")} is still mounted`);
  await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
}

async function mountsIn(path: string): Promise<string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const points = table.split("\n").map((line) => line.split(" ")[4] ?? "");
  return points.filter((point) => point === path || point.startsWith(`${path}/`));
}
