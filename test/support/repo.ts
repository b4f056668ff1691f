import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { type TempDir, tempDir } from "./temp.ts";

const run = promisify(execFile);
const TEMPLATE = join(import.meta.dirname, "..", "data", "github", "push", "push.json");
const NO_COMMIT = "0".repeat(40);
const PERSON = { name: "Ada Example", email: "ada@example.com" };

/** Content by path; `null` deletes; a path that ends in `*` is executable: `{"build.sh*": "#!/bin/sh\n"}`. */
export type Files = Readonly<Record<string, string | Buffer | null>>;

export interface CommitOptions {
  readonly files?: Files;
  readonly message?: string;
  /** Where to commit; made from the current commit when it does not exist. The current branch when left out. */
  readonly branch?: string;
}

export interface PushOptions {
  /** Forty zeros (or left out): the branch is new. */
  readonly before?: string;
  /** Forty zeros: the branch is deleted. */
  readonly after: string;
  readonly ref?: string;
  /** `owner/name` as the forge has it. */
  readonly fullName?: string;
}

/** A push payload as GitHub sends it; the fields that tests ask for are named. */
export interface PushPayload {
  ref: string;
  before: string;
  after: string;
  created: boolean;
  deleted: boolean;
  forced: boolean;
  compare: string;
  commits: PushedCommit[];
  head_commit: PushedCommit | null;
  repository: Record<string, unknown> & { id: number; full_name: string; clone_url: string };
  [field: string]: unknown;
}

export interface PushedCommit {
  id: string;
  tree_id: string;
  distinct: boolean;
  message: string;
  timestamp: string;
  url: string;
  author: Record<string, string>;
  committer: Record<string, string>;
  added: string[];
  removed: string[];
  modified: string[];
}

/** A real git repository in a directory of its own, untouched by this machine's git settings. */
export class GitRepo implements AsyncDisposable {
  readonly path: string;
  readonly #dir: TempDir;
  #commits = 0;

  private constructor(dir: TempDir) {
    this.#dir = dir;
    this.path = join(dir.path, "repo");
  }

  /** Makes it with one commit of `files` on `main`; empty when they are left out. */
  static async create({ files }: { readonly files?: Files } = {}): Promise<GitRepo> {
    const repo = new GitRepo(await tempDir("toroid-git-"));
    await mkdir(repo.path);
    await repo.git("init", "--quiet", "--initial-branch=main");
    // As forges do: executors fetch single commits by their id.
    await repo.git("config", "uploadpack.allowAnySHA1InWant", "true");
    if (files !== undefined) await repo.commit({ files, message: "first" });
    return repo;
  }

  get url(): string {
    return pathToFileURL(this.path).href;
  }

  /** Writes the files and commits them; answers the commit's id. */
  async commit({ files = {}, message = "a change", branch }: CommitOptions = {}): Promise<string> {
    if (branch !== undefined) await this.branch(branch);
    for (const [name, content] of Object.entries(files)) await this.#write(name, content);
    await this.git("add", "--all");
    this.#commits++;
    await this.git("commit", "--quiet", "--allow-empty", "--message", message);
    return this.head();
  }

  /** Puts `count` commits that change nothing on the current branch, faster than one by one. */
  async grow(count: number): Promise<void> {
    let at = await this.head();
    const tree = await this.head("HEAD^{tree}");
    for (let made = 0; made < count; made += 1) {
      at = (await this.git("commit-tree", tree, "-p", at, "-m", `more ${made}`)).trim();
    }
    await this.git("reset", "--quiet", "--hard", at);
  }

  /** Switches to a branch; makes it, at `at` or the current commit, when it does not exist. */
  async branch(name: string, at?: string): Promise<void> {
    if (at !== undefined) await this.git("switch", "--quiet", "--force-create", name, at);
    else if (await this.#exists(`refs/heads/${name}`)) await this.git("switch", "--quiet", name);
    else await this.git("switch", "--quiet", "--create", name);
  }

  /** Tags the current commit; answers what a push of it would call `after`: the tag's own id when it is annotated. */
  async tag(name: string, annotated = false): Promise<string> {
    await this.git("tag", ...(annotated ? ["--annotate", "--message", name] : []), name);
    return this.head(`refs/tags/${name}`);
  }

  /** The id that `ref` has now. */
  async head(ref = "HEAD"): Promise<string> {
    return (await this.git("rev-parse", "--verify", "--quiet", ref)).trim();
  }

  /** Runs git here; answers what it printed. */
  async git(...args: readonly string[]): Promise<string> {
    const { stdout } = await run("git", args, { cwd: this.path, env: this.#env(), maxBuffer: 64 * 1024 * 1024 });
    return stdout;
  }

  /** What GitHub would send for this push: a real payload with this repository's names, refs and commits. */
  async pushPayload(o: PushOptions): Promise<PushPayload> {
    const before = o.before ?? NO_COMMIT;
    const { after, ref = "refs/heads/main", fullName = "acme/shop" } = o;
    const payload = JSON.parse(await readFile(TEMPLATE, "utf8")) as PushPayload;
    const [owner = "", name = ""] = fullName.split("/");
    const web = `https://github.com/${fullName}`;
    const [created, deleted] = [before === NO_COMMIT, after === NO_COMMIT];
    const commits = deleted ? [] : await this.#between(before, after, web);
    const head = deleted ? null : ((await this.#between(NO_COMMIT, after, web)).at(-1) ?? null);
    const forced = !created && !deleted && !(await this.#isAncestor(before, after));
    const repository = {
      ...renamed(payload.repository, payload.repository.full_name, fullName),
      name,
      full_name: fullName,
      clone_url: this.url,
      git_url: this.url,
      ssh_url: this.url,
      html_url: web,
      default_branch: "main",
      master_branch: "main",
      owner: { ...(payload.repository["owner"] as object), name: owner, login: owner },
    };
    const compare = `${web}/compare/${before.slice(0, 12)}...${after.slice(0, 12)}`;
    const facts = { ref, before, after, created, deleted, forced, compare, commits, head_commit: head, repository };
    return { ...payload, ...facts, pusher: PERSON };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dir[Symbol.asyncDispose]();
  }

  /** The commits that `after` has and `before` has not, oldest first; of a new branch, as on GitHub, its last one. */
  async #between(before: string, after: string, web: string): Promise<PushedCommit[]> {
    const range = before === NO_COMMIT ? ["--max-count=1", after] : ["--max-count=2048", `${before}..${after}`];
    const ids = (await this.git("rev-list", "--reverse", ...range)).split("\n").filter((id) => id !== "");
    return Promise.all(ids.map((id) => this.#describe(id, web)));
  }

  async #describe(id: string, web: string): Promise<PushedCommit> {
    const [shown, changes] = await Promise.all([
      this.git("show", "--no-patch", "--format=%T%n%cI%n%B", id),
      this.git("diff-tree", "--root", "--no-commit-id", "--name-status", "--no-renames", "-r", "-z", id),
    ]);
    const [tree_id = "", timestamp = "", ...message] = shown.trimEnd().split("\n");
    const person = { ...PERSON, username: "ada" };
    const fields = changes.split("\0");
    const named = (status: string): string[] => fields.filter((_, i) => i % 2 === 1 && fields[i - 1] === status);
    return {
      id,
      tree_id,
      distinct: true,
      message: message.join("\n"),
      timestamp,
      url: `${web}/commit/${id}`,
      author: person,
      committer: person,
      added: named("A"),
      removed: named("D"),
      modified: named("M"),
    };
  }

  async #write(name: string, content: string | Buffer | null): Promise<void> {
    const executable = name.endsWith("*");
    const path = join(this.path, executable ? name.slice(0, -1) : name);
    if (content === null) {
      await this.git("rm", "--quiet", "-r", "--force", "--", name);
      return;
    }
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    if (executable) await chmod(path, 0o755);
  }

  async #exists(ref: string): Promise<boolean> {
    return this.#succeeds("rev-parse", "--verify", "--quiet", ref);
  }

  async #isAncestor(old: string, young: string): Promise<boolean> {
    return this.#succeeds("merge-base", "--is-ancestor", old, young);
  }

  async #succeeds(...args: readonly string[]): Promise<boolean> {
    return this.git(...args).then(
      () => true,
      () => false,
    );
  }

  /** Each commit is a second younger than the last, so that ids are the same in every run. */
  #env(): NodeJS.ProcessEnv {
    const date = `${1_750_000_000 + this.#commits} +0000`;
    const who = { AUTHOR_NAME: PERSON.name, AUTHOR_EMAIL: PERSON.email, AUTHOR_DATE: date };
    const env: NodeJS.ProcessEnv = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null", LC_ALL: "C" };
    for (const [key, value] of Object.entries(who)) {
      env[`GIT_${key}`] = value;
      env[`GIT_${key.replace("AUTHOR", "COMMITTER")}`] = value;
    }
    return { PATH: process.env["PATH"], HOME: this.#dir.path, GIT_TERMINAL_PROMPT: "0", ...env };
  }
}

/** Every string of `value` with one repository's name in place of another's. */
function renamed<T>(value: T, from: string, to: string): T {
  return JSON.parse(JSON.stringify(value).replaceAll(from, to)) as T;
}
