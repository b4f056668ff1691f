/** Real repositories with a history of their own, and what GitHub says of a push to one. */
import { GitRepo, type PushPayload } from "../../support/repo.ts";
import { type PlannedPush, REPOSITORIES } from "./plan.ts";
import { SAY } from "./world.ts";

const MAIN = "refs/heads/main";

export class Repositories implements AsyncDisposable {
  readonly #repos: readonly GitRepo[];
  readonly #payloads: ReadonlyMap<string, readonly PushPayload[]>;

  private constructor(repos: readonly GitRepo[], payloads: ReadonlyMap<string, readonly PushPayload[]>) {
    this.#repos = repos;
    this.#payloads = payloads;
  }

  /** As many commits as each is pushed. */
  static async make(pushes: readonly PlannedPush[], worldPort: number): Promise<Repositories> {
    const repos: GitRepo[] = [];
    const payloads = new Map<string, readonly PushPayload[]>();
    for (const { name, file } of REPOSITORIES) {
      const repo = await GitRepo.create({ files: { ".toroid.yml": file(worldPort), "say*": SAY } });
      repos.push(repo);
      const count = pushes.filter(({ repository }) => repository === name).length;
      const commits = [await repo.head()];
      const tree = await repo.head("HEAD^{tree}");
      while (commits.length <= count) {
        const parent = commits.at(-1) ?? "";
        commits.push((await repo.git("commit-tree", tree, "-p", parent, "-m", `change ${commits.length}`)).trim());
      }
      const [first = "", second = first] = commits;
      await repo.git("update-ref", MAIN, commits.at(-1) ?? first);
      const shown = await repo.pushPayload({ before: first, after: second, ref: MAIN, fullName: name });
      payloads.set(
        name,
        commits.slice(1).map((after, at) => movedTo(shown, commits[at] ?? first, after)),
      );
    }
    return new Repositories(repos, payloads);
  }

  payload({ repository, commit }: PlannedPush): PushPayload {
    const payload = this.#payloads.get(repository)?.[commit];
    if (payload === undefined) throw new Error(`${repository} has no commit ${commit}`);
    return payload;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const repo of this.#repos) await repo[Symbol.asyncDispose]();
  }
}

/** Another push of the same repository: what is read of it is its own. */
function movedTo(shown: PushPayload, before: string, after: string): PushPayload {
  const head = shown.head_commit === null ? null : { ...shown.head_commit, id: after };
  return { ...shown, before, after, head_commit: head };
}
