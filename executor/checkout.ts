/** A commit of a repository as a directory that a build can change as it likes: a real repository, made in milliseconds. */
import { join } from "node:path";
import { ToroidError } from "../protocol/errors.ts";
import type { CheckedSource, Remote } from "../protocol/work.ts";
import { diskFull, isNoSpace, localFailure } from "./checkout/failure.ts";
import { Git, GitFailure } from "./checkout/git.ts";
import { type Mirror, Mirrors } from "./checkout/mirror.ts";
import { addressOf } from "./checkout/remote.ts";
import { pointObjects, writeRefs, writeRepository } from "./checkout/repository.ts";
import type { GitConfig } from "./config.ts";

/** Where a workspace shows the mirror's objects, which the checkout borrows. */
export const BORROWED_OBJECTS = "/toroid/objects";

export interface Checkout {
  /** The host's directory to show at {@link BORROWED_OBJECTS}. */
  readonly objects: string;
}

export class Checkouts {
  readonly #config: GitConfig;
  readonly #git: Git;
  readonly #mirrors: Mirrors;

  constructor(config: GitConfig, mirrorsDir: string) {
    this.#config = config;
    this.#git = new Git(config);
    this.#mirrors = new Mirrors(mirrorsDir, this.#git);
  }

  /** The mirror of `repository` and the address that it is fed from. */
  mirror(
    repository: string,
    remote: Remote,
  ): { readonly mirror: Mirror; readonly address: ReturnType<typeof addressOf> } {
    return { mirror: this.#mirrors.of(repository), address: addressOf(remote, this.#config) };
  }

  /**
   * Writes `source.commit` to `into`, which must not exist.
   *
   * No clone: the objects stay in the mirror, which the new repository names as an alternate. When the commit is in the
   * mirror, one git process does it.
   *
   * @throws {ToroidError} TOR_NOT_FOUND, TOR_GIT_AUTH, TOR_GIT_UNREACHABLE, TOR_CHECKOUT_FAILED, TOR_DISK_FULL
   */
  async checkOut(
    repository: string,
    remote: Remote,
    source: CheckedSource,
    into: string,
    signal: AbortSignal,
  ): Promise<Checkout> {
    const { mirror, address } = this.mirror(repository, remote);
    await mirror.need(source.commit, source.ref, address, signal);
    try {
      await this.#write(mirror, source, into, address.url, signal);
    } catch (error) {
      if (isNoSpace(error)) throw diskFull(error);
      if (error instanceof GitFailure) throw localFailure("check the commit out", error.stderr, error);
      if (error instanceof ToroidError || signal.aborted) throw error;
      throw new ToroidError("TOR_CHECKOUT_FAILED", `cannot check ${source.commit} out`, {}, { cause: error });
    }
    return { objects: mirror.objects };
  }

  /** The name of what is in a commit that was checked out: commits with the same files have the same. */
  async treeOf(repository: string, commit: string, signal: AbortSignal): Promise<string> {
    const { path } = this.#mirrors.of(repository);
    const said = await this.#git.run(["rev-parse", `${commit}^{tree}`], { cwd: path, gitDir: path, signal });
    return said.trim();
  }

  async #write(mirror: Mirror, source: CheckedSource, into: string, url: string, signal: AbortSignal): Promise<void> {
    const gitDir = join(into, ".git");
    const { commit } = source;
    await writeRepository({ gitDir, commit, url, objects: mirror.objects, shallow: join(mirror.path, "shallow") });
    const [refs] = await Promise.all([
      mirror.refs(),
      this.#git.run(["reset", "--hard", commit], { cwd: into, gitDir, workTree: into, signal }),
    ]);
    await Promise.all([writeRefs(gitDir, refs), pointObjects(gitDir, BORROWED_OBJECTS)]);
  }
}
