/** Directories to unpack into, and what is in them, told exactly. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { execa } from "execa";
import { HELPER } from "../../abuse/rig.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";

export const NEEDS = { root: true, path: HELPER, program: "cc" } as const;
/** What lies beside the directory that is unpacked into, and must stay as it is. */
const CANARY = "outside\n";

export interface Unpacked {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Trees implements AsyncDisposable {
  readonly path: string;
  /** `tree.c`, compiled. */
  readonly tree: string;
  readonly #temp: TempDir;

  private constructor(temp: TempDir, tree: string) {
    this.#temp = temp;
    this.path = temp.path;
    this.tree = tree;
  }

  static async make(): Promise<Trees> {
    const temp = await tempDir("toroid-trees-");
    const tree = join(temp.path, "tree");
    if (existsSync(HELPER)) {
      const source = join(import.meta.dirname, "tree.c");
      await execa("cc", ["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-static", "-o", tree, source]);
    }
    return new Trees(temp, tree);
  }

  async dir(name = "dir"): Promise<string> {
    return mkdtemp(join(this.path, `${name}-`));
  }

  /** A directory with a canary beside it. */
  async target(): Promise<string> {
    const around = await this.dir("around");
    await writeFile(join(around, "canary"), CANARY);
    await mkdir(join(around, "into"), { mode: 0o755 });
    return join(around, "into");
  }

  /** Into a new target, or one that is given; fails if anything beside it has changed. */
  async unpack(
    bytes: Uint8Array,
    options: readonly string[] = [],
    into?: string,
  ): Promise<Unpacked & { into: string }> {
    const target = into ?? (await this.target());
    const unpacking = start(target, options);
    unpacking.feed(bytes);
    const done = await unpacking.done;
    const around = join(target, "..");
    assert.deepEqual((await readdir(around)).sort(), ["canary", "into"]);
    assert.equal(await readFile(join(around, "canary"), "utf8"), CANARY);
    return { ...done, into: target };
  }

  /** The lines of `tree list`, each without the `./` at its beginning. */
  async list(dir: string): Promise<readonly string[]> {
    return lines((await execa(this.tree, ["list", dir])).stdout);
  }

  /** By name, without the time. */
  async shape(dir: string): Promise<Readonly<Record<string, string>>> {
    const entries = (await this.list(dir)).map((line) => line.split(" "));
    return Object.fromEntries(
      entries.map(([name = "", mode, owner, , ...rest]) => [name, [mode, owner, ...rest].join(" ")]),
    );
  }

  /** What overlay hides below: `removed ./x`, `opaque ./y`. */
  async marks(dir: string): Promise<readonly string[]> {
    const { stdout } = await execa(this.tree, ["whiteouts", dir]);
    return stdout.split("\n").filter(Boolean);
  }

  /** By find, for node's own removal takes no names that are longer than a path. */
  async [Symbol.asyncDispose](): Promise<void> {
    await execa("find", [this.path, "-mindepth", "1", "-delete"]);
    await this.#temp[Symbol.asyncDispose]();
  }
}

export function lines(listing: string): readonly string[] {
  return listing
    .split("\n")
    .filter(Boolean)
    .map((line) => line.replace(/^\.\//, ""));
}

export interface Unpacking {
  readonly child: ChildProcess;
  readonly done: Promise<Unpacked>;
  /** The last bytes; it may end before it has read them. */
  feed(bytes: Uint8Array): void;
  /** Bytes after which more may come. */
  write(bytes: Uint8Array): void;
}

export function start(into: string, options: readonly string[] = []): Unpacking {
  const child = spawn(HELPER, ["unpack", "--into", into, ...options], { stdio: ["pipe", "pipe", "pipe"], env: {} });
  child.stdin.on("error", () => undefined);
  const code = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("close", resolve);
  });
  const done = Promise.all([code, text(child.stdout), text(child.stderr)]).then(([exit, stdout, stderr]) => ({
    code: exit,
    stdout,
    stderr,
  }));
  return {
    child,
    done,
    feed: (bytes) => void child.stdin.end(bytes),
    write: (bytes) => void child.stdin.write(bytes),
  };
}
