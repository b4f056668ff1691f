/**
 * A bare repository per repository that this executor has seen. It only grows: objects are never pruned nor packed
 * anew, because running workspaces read them.
 */
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ToroidError } from "../../protocol/errors.ts";
import { escapeToken } from "../../protocol/ids.ts";
import { diskFull, fetchFailure, isNoSpace, lockIn } from "./failure.ts";
import { type Git, GitFailure, type GitOptions } from "./git.ts";
import { type Address, checkRef } from "./remote.ts";
import { configValue } from "./repository.ts";

/** A path that we were allowed to fetch from may be another user's, which git alone would refuse. */
const LOCAL_UPLOAD_PACK = "git -c safe.directory=* upload-pack";
/** Where branches of the far side are kept, as in any clone. */
const TRACKING = "refs/remotes/origin/";
/** Commits that were fetched by name, held so that the next fetch can build on them. */
const KEPT = "refs/toroid/kept/";
/** Only we fetch into a mirror, one fetch at a time: a lock of this age is of a git that is dead. */
const LOCK_STALE_MS = 60_000;
/** More than any command here takes that needs no network. */
const LOCAL_MS = 60_000;

export class Mirrors {
  readonly #root: string;
  readonly #git: Git;
  readonly #open = new Map<string, Mirror>();

  constructor(root: string, git: Git) {
    this.#root = root;
    this.#git = git;
  }

  of(repository: string): Mirror {
    const name = escapeToken(repository);
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const mirror = new Mirror(join(this.#root, name), this.#git);
    this.#open.set(name, mirror);
    return mirror;
  }
}

export class Mirror {
  readonly path: string;
  readonly #git: Git;
  readonly #known = new Set<string>();
  #tail: Promise<unknown> = Promise.resolve();
  /** What `git for-each-ref` said; null after a fetch. */
  #refs: Promise<string> | null = null;
  #url: string | null = null;

  constructor(path: string, git: Git) {
    this.path = path;
    this.#git = git;
  }

  get objects(): string {
    return join(this.path, "objects");
  }

  /** Runs git here, without a network. */
  run(args: readonly string[], signal: AbortSignal): Promise<string> {
    return this.#git.run(args, this.#options(signal));
  }

  /** All refs, `<object> <name>` a line. Asked for once between two fetches. */
  refs(): Promise<string> {
    // Shared by all who ask, so it is not for one of them to abort.
    const signal = AbortSignal.timeout(LOCAL_MS);
    this.#refs ??= this.run(["for-each-ref", "--format=%(objectname) %(refname)"], signal).catch((error: unknown) => {
      this.#refs = null;
      throw error;
    });
    return this.#refs;
  }

  /** Is the commit here, with all that it is made of? */
  async has(commit: string, signal: AbortSignal): Promise<boolean> {
    if (this.#known.has(commit)) return true;
    if (!(await exists(join(this.path, "HEAD")))) return false;
    try {
      await this.run(["cat-file", "-t", commit], signal);
      this.#known.add(commit);
      return true;
    } catch (error) {
      if (error instanceof GitFailure) return false;
      throw error;
    }
  }

  /**
   * Makes sure that `commit` is here. It is looked for in `ref` first, which is where a push says it is; a push that
   * was overtaken by a forced one is asked for by name.
   *
   * @param fresh the commit was just pushed, so that looking for it before fetching would be a process for nothing
   * @throws {ToroidError} TOR_NOT_FOUND, TOR_GIT_AUTH, TOR_GIT_UNREACHABLE, TOR_DISK_FULL
   */
  async need(commit: string, ref: string, address: Address, signal: AbortSignal, fresh = false): Promise<void> {
    if (this.#known.has(commit)) return;
    await this.#alone(async () => {
      if (this.#known.has(commit) || (await this.#stands(ref, commit))) return;
      if (!fresh && (await this.has(commit, signal))) return;
      await this.#prepare(address, commit.length);
      try {
        await this.#fetch(address, trackedRefspec(ref), ref, signal);
      } catch (error) {
        // The ref may be gone by now, or the far side out of reach; the commit may be here all the same.
        if (await this.has(commit, signal)) return;
        if (!(error instanceof ToroidError) || error.code !== "TOR_NOT_FOUND") throw error;
      }
      if ((await this.#stands(ref, commit)) || (await this.has(commit, signal))) return;
      await this.#fetch(address, `+${commit}:${KEPT}${commit}`, `commit ${commit.slice(0, 12)}`, signal);
      if (!(await this.has(commit, signal))) {
        throw new ToroidError("TOR_NOT_FOUND", `commit ${commit.slice(0, 12)} is not in ${address.shown}`);
      }
    });
  }

  /**
   * Is `ref` at `commit` as of its last fetch? Read from its file, which costs no git process: nothing here packs refs.
   * A fetch moves the ref only after the commit is whole.
   */
  async #stands(ref: string, commit: string): Promise<boolean> {
    if ((await this.tip(ref)) !== commit) return false;
    this.#known.add(commit);
    return true;
  }

  /** Where `ref` was when it was last fetched; null when it never was. */
  async tip(ref: string): Promise<string | null> {
    checkRef(ref);
    const at = await readFile(join(this.path, localName(ref)), "utf8").catch(() => "");
    return at.trim() || null;
  }

  /** Brings `ref` up to date; answers the name by which it is known here. */
  async follow(ref: string, address: Address, signal: AbortSignal): Promise<string> {
    return this.#alone(async () => {
      await this.#prepare(address, 40);
      await this.#fetch(address, trackedRefspec(ref), ref, signal);
      return localName(ref);
    });
  }

  /** The full name of `ref` on the far side: a branch before a tag. `commit` when it is a branch or tag that is there. */
  async resolve(
    ref: string,
    address: Address,
    signal: AbortSignal,
  ): Promise<{ readonly ref: string; readonly commit: string }> {
    checkRef(ref);
    const names = ref.startsWith("refs/") ? [ref] : [`refs/heads/${ref}`, `refs/tags/${ref}`];
    return this.#alone(async () => {
      await this.#prepare(address, 40);
      let listed: string;
      try {
        listed = await this.#git.run(["ls-remote", "--refs", "origin", ...names], this.#network(address, signal));
      } catch (error) {
        throw this.#explained(address, ref, error);
      }
      const found = new Map<string, string>();
      for (const line of listed.split("\n")) {
        const [commit = "", name = ""] = line.split("\t");
        found.set(name, commit);
      }
      for (const name of names) {
        const commit = found.get(name);
        if (commit !== undefined) return { ref: name, commit };
      }
      throw new ToroidError("TOR_NOT_FOUND", `${ref} is not in ${address.shown}`, { ref });
    });
  }

  /** Fetches of one mirror wait for each other: the second mostly finds that the first brought what it needs. */
  #alone<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(act);
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  async #fetch(address: Address, refspec: string, what: string, signal: AbortSignal): Promise<void> {
    const options = ["--progress", "--no-auto-maintenance", "--no-write-fetch-head", "--no-recurse-submodules"];
    for (let mayRepeat = true; ; mayRepeat = false) {
      try {
        await this.#git.run(["fetch", ...options, "origin", refspec], this.#network(address, signal));
        return;
      } catch (error) {
        if (mayRepeat && (await this.#removeStaleLock(error))) continue;
        throw this.#explained(address, what, error);
      } finally {
        this.#refs = null;
      }
    }
  }

  /** A git that was killed leaves its lock files, and every later one would refuse to go on. */
  async #removeStaleLock(failure: unknown): Promise<boolean> {
    const lock = failure instanceof GitFailure ? lockIn(failure.stderr) : null;
    if (lock === null || !lock.startsWith(`${this.path}/`) || !(await isOlder(lock, LOCK_STALE_MS))) return false;
    await rm(lock, { force: true });
    return true;
  }

  #explained(address: Address, what: string, error: unknown): unknown {
    return error instanceof GitFailure ? fetchFailure(address, what, error.stderr, error) : error;
  }

  /** Makes it when it is missing. The address goes into its configuration, not onto a command line. */
  async #prepare(address: Address, commitLength: number): Promise<void> {
    if (this.#url === address.url) return;
    try {
      if (!(await exists(join(this.path, "HEAD")))) {
        // As `git init --bare` would, readable for the build inside its workspace.
        for (const part of ["objects/info", "objects/pack", "refs/heads", "refs/tags"]) {
          await mkdir(join(this.path, part), { recursive: true, mode: 0o755 });
        }
        await chmod(this.path, 0o755);
        await this.#writeConfig(address, commitLength);
        await writeFile(join(this.path, "HEAD"), "ref: refs/heads/main\n");
      } else {
        const format = await this.run(["rev-parse", "--show-object-format"], AbortSignal.timeout(LOCAL_MS));
        await this.#writeConfig(address, format.trim() === "sha256" ? 64 : 40);
      }
    } catch (error) {
      throw isNoSpace(error) ? diskFull(error) : error;
    }
    this.#url = address.url;
  }

  async #writeConfig(address: Address, commitLength: number): Promise<void> {
    const sha256 = commitLength === 64;
    const file = join(this.path, "config");
    await writeFile(
      `${file}.new`,
      [
        "[core]",
        `\trepositoryformatversion = ${sha256 ? 1 : 0}`,
        "\tbare = true",
        "\tsharedRepository = 0644",
        ...(sha256 ? ["[extensions]", "\tobjectformat = sha256"] : []),
        '[remote "origin"]',
        `\turl = ${configValue(address.url)}`,
        ...(address.protocol === "file" ? [`\tuploadpack = ${configValue(LOCAL_UPLOAD_PACK)}`] : []),
        "",
      ].join("\n"),
      { mode: 0o600 },
    );
    await rename(`${file}.new`, file);
  }

  #network(address: Address, signal: AbortSignal): GitOptions {
    return { ...this.#options(signal), protocols: address.protocol };
  }

  #options(signal: AbortSignal): GitOptions {
    return { cwd: this.path, gitDir: this.path, signal };
  }
}

/** `refs/heads/main` → `refs/remotes/origin/main`; tags and all else keep their names. */
export function localName(ref: string): string {
  return ref.startsWith("refs/heads/") ? `${TRACKING}${ref.slice("refs/heads/".length)}` : ref;
}

function trackedRefspec(ref: string): string {
  checkRef(ref);
  return `+${ref}:${localName(ref)}`;
}

async function isOlder(path: string, ms: number): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found === null || Date.now() - found.mtimeMs > ms;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
