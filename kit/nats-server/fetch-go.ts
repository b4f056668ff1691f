import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { PINNED_VERSION } from "./version.ts";

const run = promisify(execFile);
const TIMEOUT_MS = 600_000;

/** Builds the pinned server from source with the machine's Go; its caches lie below `into` and go with it. */
export async function fetchGo(into: string): Promise<string> {
  const bin = join(into, "bin");
  const env = {
    ...process.env,
    GOBIN: bin,
    GOPATH: join(into, "gopath"),
    GOCACHE: join(into, "gocache"),
    GOFLAGS: "-modcacherw -trimpath",
    CGO_ENABLED: "0",
  };
  try {
    await run("go", ["install", `github.com/nats-io/nats-server/v2@v${PINNED_VERSION}`], { env, timeout: TIMEOUT_MS });
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    if (code === "ENOENT") throw new Error("go is not installed", { cause: error });
    throw new Error(`go install: ${stderr?.trim().split("\n").at(-1) ?? String(error)}`, { cause: error });
  }
  return join(bin, "nats-server");
}
