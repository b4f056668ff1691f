import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory of the test's own, gone at the end of the block that holds it. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
}

/** Makes one below the system's temp directory. The name says whose it is: `toroid-<what>-<pid>-…`. */
export async function tempDir(prefix = "toroid-test-"): Promise<TempDir> {
  const path = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`));
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 }),
  };
}
