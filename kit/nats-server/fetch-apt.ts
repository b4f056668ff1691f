import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
/** The newest packages; a stable suite carries a server that is too old for us. */
const SUITE = "sid";
const KEYRINGS = ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];
const TIMEOUT_MS = 120_000;

/**
 * Downloads Debian's `nats-server` package from the mirror this machine already uses and unpacks it below `into`:
 * nothing is installed, and apt's own lists and settings are left alone. Answers where the binary lies.
 */
export async function fetchApt(into: string): Promise<string> {
  const keyring = KEYRINGS.find((path) => existsSync(path));
  if (keyring === undefined) throw new Error("this is not Debian (no archive keyring)");
  const mirrors = await debianMirrors();
  const mirror = mirrors[0];
  if (mirror === undefined) throw new Error("apt's configuration names no Debian mirror");

  const state = join(into, "apt");
  await mkdir(join(state, "lists", "partial"), { recursive: true });
  await mkdir(join(state, "cache", "archives", "partial"), { recursive: true });
  const sources = join(state, "sources.list");
  await writeFile(sources, `deb [signed-by=${keyring}] ${mirror} ${SUITE} main\n`);
  const options = {
    "Dir::Etc::sourcelist": sources,
    "Dir::Etc::sourceparts": "-",
    "Dir::State::lists": join(state, "lists"),
    "Dir::Cache": join(state, "cache"),
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
    "Acquire::Retries": "2",
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  await apt([...flags, "-qq", "update"], into);
  await apt([...flags, "-qq", "download", "nats-server"], into);
  const packageFile = (await readdir(into)).find((name) => name.endsWith(".deb"));
  if (packageFile === undefined) throw new Error(`${SUITE} carries no nats-server`);
  await run("dpkg-deb", ["-x", join(into, packageFile), join(into, "unpacked")]);
  return join(into, "unpacked", "usr", "sbin", "nats-server");
}

/** Where this machine gets Debian from, best first: from its package lists, else (they may be cleaned) its sources. */
async function debianMirrors(): Promise<string[]> {
  const known = await apt(["indextargets", "--format", "$(ORIGIN) $(REPO_URI)"], "/");
  const listed = known.split("\n").map((line) => /^Debian (\S+)$/.exec(line)?.[1]);
  const planned = (await apt(["update", "--print-uris"], "/")).split("\n");
  const configured = planned.map((line) => /^'(\S+\/debian\/)dists\//.exec(line)?.[1]);
  const uris = [...listed, ...configured].filter((uri) => uri !== undefined && !uri.includes("security"));
  return [...new Set(uris.filter((uri) => uri !== undefined))];
}

async function apt(args: readonly string[], cwd: string): Promise<string> {
  try {
    return (await run("apt-get", args, { cwd, timeout: TIMEOUT_MS, env: { ...process.env, LC_ALL: "C" } })).stdout;
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    if (code === "ENOENT") throw new Error("apt-get is not installed", { cause: error });
    const line = stderr?.split("\n").find((text) => text.startsWith("E:")) ?? String(error);
    throw new Error(`apt-get: ${line.replace(/^E:\s*/, "")}`, { cause: error });
  }
}
