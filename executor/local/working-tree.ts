/** A person's working tree: what git tracks in it and what it would, copied as it is on disk. */
import { constants } from "node:fs";
import { copyFile, lstat, mkdir, readFile, readlink, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ToroidError } from "../../protocol/errors.ts";
import { TEMPLATE_FILE } from "../../protocol/pipeline/generated-template.ts";
import type { Tree } from "../../protocol/pipeline/plan.ts";
import { Git, GitFailure } from "../checkout/git.ts";
import { pointObjects, writeRefs, writeRepository } from "../checkout/repository.ts";
import { BORROWED_OBJECTS } from "../checkout.ts";

const SETTINGS = { remote: "https", allowLocal: true, configFile: null, silenceMs: 60_000 } as const;

export class WorkingTree {
  readonly root: string;
  /** The last commit. */
  readonly commit: string;
  readonly branch: string | null;
  /** Where its objects are, shown inside the workspace. */
  readonly objects: string;
  readonly #git: Git;

  private constructor(git: Git, root: string, objects: string, commit: string, branch: string | null) {
    this.#git = git;
    this.root = root;
    this.objects = objects;
    this.commit = commit;
    this.branch = branch;
  }

  /** @throws {ToroidError} TOR_NOT_FOUND when `directory` is in no working tree, or in one without a commit. */
  static async open(directory: string, signal: AbortSignal): Promise<WorkingTree> {
    const git = new Git(SETTINGS);
    try {
      const names = [
        "--show-toplevel",
        "--path-format=absolute",
        "--git-path",
        "objects",
        "HEAD",
        "--abbrev-ref",
        "HEAD",
      ];
      const said = await git.run(["rev-parse", ...names], { cwd: directory, signal });
      const [root = "", objects = "", commit = "", branch = ""] = said.split("\n");
      return new WorkingTree(git, root, objects, commit, branch === "HEAD" || branch === "" ? null : branch);
    } catch (error) {
      if (!(error instanceof GitFailure)) throw error;
      throw new ToroidError(
        "TOR_NOT_FOUND",
        `${directory} is not in a git repository that has a commit`,
        {},
        { cause: error },
      );
    }
  }

  /** A file's text, or null when there is none. */
  async read(name: string): Promise<string | null> {
    return readFile(join(this.root, name), "utf8").catch(() => null);
  }

  /** Every file that is tracked, or untracked and not ignored. */
  async files(signal: AbortSignal): Promise<readonly string[]> {
    const words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
    const listed = await this.#git.run(words, { cwd: this.root, signal });
    return listed.split("\0").filter((path) => path !== "");
  }

  /** What is made of `.toroid.yml` may depend on. */
  async tree(signal: AbortSignal): Promise<Tree> {
    const found = await lstat(join(this.root, TEMPLATE_FILE)).catch(() => null);
    return {
      template: found === null ? "none" : found.isFile() ? "file" : "other",
      files: await this.files(signal),
    };
  }

  /** Copies every file that is tracked, or untracked and not ignored, to `into`, with a repository beside them. */
  async copyTo(into: string, signal: AbortSignal): Promise<void> {
    const here = { cwd: this.root, signal };
    const [files, refs] = await Promise.all([
      this.files(signal),
      this.#git.run(["for-each-ref", "--format=%(objectname) %(refname)", "refs/tags", "refs/heads"], here),
    ]);
    const gitDir = join(into, ".git");
    await mkdir(into);
    await writeRepository({
      gitDir,
      commit: this.commit,
      url: null,
      objects: this.objects,
      shallow: join(dirname(this.objects), "shallow"),
    });
    const made = new Set<string>();
    for (const path of files) await this.#copy(path, into, made);
    await this.#git.run(["read-tree", "-v", "--reset", this.commit], { cwd: into, gitDir, workTree: into, signal });
    await Promise.all([writeRefs(gitDir, refs), pointObjects(gitDir, BORROWED_OBJECTS)]);
  }

  async #copy(path: string, into: string, made: Set<string>): Promise<void> {
    const [from, to] = [join(this.root, path), join(into, path)];
    const found = await lstat(from).catch(() => null); // deleted, and not yet told to git
    if (found === null) return;
    if (!made.has(dirname(to))) {
      await mkdir(dirname(to), { recursive: true });
      made.add(dirname(to));
    }
    if (found.isSymbolicLink()) await symlink(await readlink(from), to);
    else if (found.isFile()) await copyFile(from, to, constants.COPYFILE_FICLONE);
  }
}
