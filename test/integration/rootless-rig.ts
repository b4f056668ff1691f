/**
 * The sandbox as a user sees it who is not root: a user of the test's own, whose ranges of subordinate ids are in copies
 * of the files of /etc, mounted in a namespace that only the helper is in. Nothing of the host is changed.
 */
import { existsSync } from "node:fs";
import { chmod, chown, copyFile, mkdir, readFile, rmdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HELPER, makeCgroup, type Options, type Outcome, type Rig, type Running, rig } from "../abuse/rig.ts";
import { until } from "../support/until.ts";

export const CALLER = 61_233;
export const FIRST_SUBUID = 1_600_000_000;
export const SUBUIDS = 65_536;
const NAME = "toroid-rootless";
const PROGRAMS = ["/usr", ...["/bin", "/lib", "/lib64"].filter((path) => existsSync(path))].flatMap((path) => [
  "--bind",
  `${path}:${path}:ro`,
]);

/** `ranges`: as a distribution sets a user up. `alone`: without subordinate ids. */
export type Caller = "ranges" | "alone";

export interface RootlessRig extends AsyncDisposable {
  readonly base: Rig;
  /** An image of the caller's: the host's programs can be bound into it, and nothing else is there. */
  readonly image: string;
  /** A directory that the caller owns. */
  directory(name: string): Promise<string>;
  scratch(): Promise<string>;
  start(options: readonly string[], argv: readonly string[], more?: Options): Promise<Running>;
  run(options: readonly string[], argv: readonly string[], more?: Options): Promise<Outcome>;
  /** A line of shell, with the host's programs bound in. */
  startSh(line: string, options?: readonly string[], more?: Options): Promise<Running>;
  sh(line: string, options?: readonly string[], more?: Options): Promise<Outcome>;
  /** Options that bind the host's programs into an image that has none. */
  readonly programs: readonly string[];
  /** Options for what a caller like this one does not have, which a run has to be allowed to lack. */
  readonly allowed: readonly string[];
  /** The words that start the helper as the caller; behind them come its own. */
  readonly helper: readonly string[];
}

/**
 * Becomes the caller: moves into its cgroup, puts its files over the host's, and starts the copy of the helper. Of the
 * environment, CALLER_FLAGS are more for setpriv, CALLER_PATH is where programs are looked for, and with CALLER_STAYS it
 * stays where the test is.
 */
const BECOME = `
  [ -z "$CALLER_CGROUP" ] || [ -n "$CALLER_STAYS" ] || echo $$ > "$CALLER_CGROUP/self/cgroup.procs" || exit 99
  for name in passwd subuid subgid; do mount --bind "$CALLER_FILES/$name" "/etc/$name" || exit 99; done
  shift
  exec setpriv --reuid=${CALLER} --regid=${CALLER} --clear-groups $CALLER_FLAGS -- \
    env "PATH=\${CALLER_PATH:-$PATH}" "$CALLER_FILES/helper" "$@"`;

export async function rootlessRig(who: Caller, delegated: boolean): Promise<RootlessRig> {
  const cgroup = delegated ? await delegate() : null;
  const files: string[] = [];
  const within = ["env", ...files, "unshare", "--mount", "sh", "-c", BECOME, "sh"];
  const base = await rig(within, cgroup === null ? null : join(cgroup, "runs"));
  await letPass(dirname(base.dir));
  await chmod(base.dir, 0o755);
  const folder = join(base.dir, "caller");
  await makeFiles(folder, who);
  within.splice(1, 0, `CALLER_FILES=${folder}`, `CALLER_CGROUP=${cgroup ?? ""}`);
  const lacks = [...(who === "alone" ? ["single-uid"] : []), ...(cgroup === null ? ["no-cgroup"] : [])];
  const allowed = lacks.flatMap((name) => ["--allow-weak", name]);
  return new RealRootlessRig(base, within, cgroup, await makeImage(base.dir), allowed);
}

class RealRootlessRig implements RootlessRig {
  readonly base: Rig;
  readonly image: string;
  readonly helper: readonly string[];
  readonly programs = PROGRAMS;
  readonly allowed: readonly string[];
  readonly #cgroup: string | null;

  constructor(base: Rig, within: readonly string[], cgroup: string | null, image: string, allowed: readonly string[]) {
    this.base = base;
    this.image = image;
    this.allowed = allowed;
    this.helper = [...within, HELPER];
    this.#cgroup = cgroup;
  }

  async directory(name: string): Promise<string> {
    const path = join(this.base.dir, name);
    await mkdir(path, { mode: 0o700 });
    await chown(path, CALLER, CALLER);
    return path;
  }

  async scratch(): Promise<string> {
    const path = await this.base.scratch();
    // The directory that they are in is the caller's too, for what is removed is first renamed.
    for (const each of [path, this.base.dir]) await chown(each, CALLER, CALLER);
    return path;
  }

  async start(options: readonly string[], argv: readonly string[], more: Options = {}): Promise<Running> {
    const scratch = more.scratch ?? (await this.scratch());
    return this.base.start([...this.allowed, ...options], argv, { image: this.image, ...more, scratch });
  }

  async run(options: readonly string[], argv: readonly string[], more: Options = {}): Promise<Outcome> {
    return (await this.start(options, argv, more)).outcome;
  }

  async startSh(line: string, options: readonly string[] = [], more: Options = {}): Promise<Running> {
    return this.start([...PROGRAMS, ...options], ["/bin/sh", "-c", line], more);
  }

  async sh(line: string, options: readonly string[] = [], more: Options = {}): Promise<Outcome> {
    return (await this.startSh(line, options, more)).outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.base[Symbol.asyncDispose]();
    const cgroup = this.#cgroup;
    if (cgroup === null) return;
    const inSelf = async (): Promise<string> => readFile(join(cgroup, "self", "cgroup.procs"), "utf8");
    await until("what deletes in the background to have ended", async () => (await inSelf()) === "");
    for (const name of ["self", "runs", ""]) await rmdir(join(cgroup, name));
  }
}

/** A test run's own directory of temporary files is root's alone. */
async function letPass(folder: string): Promise<void> {
  const { mode } = await stat(folder);
  if ((mode & 0o001) === 0) await chmod(folder, (mode & 0o7777) | 0o111);
}

async function makeFiles(folder: string, who: Caller): Promise<void> {
  await mkdir(folder);
  const passwd = await readFile("/etc/passwd", "utf8");
  await writeFile(join(folder, "passwd"), `${passwd}${NAME}:x:${CALLER}:${CALLER}::/:/bin/sh\n`);
  const range = who === "ranges" ? `${NAME}:${FIRST_SUBUID}:${SUBUIDS}\n` : "";
  for (const name of ["subuid", "subgid"]) await writeFile(join(folder, name), `somebody:1700000000:65536\n${range}`);
  await copyFile(HELPER, join(folder, "helper")); // the checkout may be out of the caller's reach
  await chmod(join(folder, "helper"), 0o755);
}

async function makeImage(dir: string): Promise<string> {
  const image = join(dir, "image");
  for (const path of [image, join(image, "etc"), join(image, "srv")]) {
    await mkdir(path);
    await chown(path, CALLER, CALLER);
  }
  await writeFile(join(image, "etc", "given"), "given\n");
  await chown(join(image, "etc", "given"), CALLER, CALLER);
  return image;
}

/** A cgroup of the caller's, as systemd delegates one: the caller is in one leaf, what it starts in another. */
async function delegate(): Promise<string | null> {
  const cgroup = await makeCgroup();
  if (cgroup === null) return null;
  for (const path of [cgroup, join(cgroup, "self"), join(cgroup, "runs")]) {
    if (path !== cgroup) await mkdir(path);
    for (const name of [".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"])
      await chown(join(path, name), CALLER, CALLER);
  }
  return cgroup;
}
