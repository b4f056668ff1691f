import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { type TempDir, tempDir } from "./temp.ts";
import { findParts, type Parts } from "./vm-packages.ts";
import { makeDisk, makeInitramfs } from "./vm-root.ts";

const BOOT_MS = 60_000;
const JOB_MS = 30_000;
/** From the guest's own limit of a job to the moment at which it is taken for dead: a busy host may stop it for long. */
const PATIENCE_MS = 20_000;

export interface GuestSettings {
  /** What is put on its disk, by its place there; all of it may be executed. */
  readonly files?: Readonly<Record<string, string>>;
  /** Drivers that it loads besides those of every guest. */
  readonly drivers?: readonly string[];
  /** It powers itself off then, whoever may have forgotten it. */
  readonly lifeSeconds?: number;
}

/** What a job left: its exit code and each file it wrote to its working directory, `stdout` and `stderr` among them. */
export interface Reply {
  readonly code: number;
  readonly files: ReadonlyMap<string, string>;
}

interface Job {
  readonly id: number;
  readonly files: Map<string, string>;
  resolve(reply: Reply): void;
}

/**
 * A machine of its own, emulated in software: Debian's cloud kernel, pure cgroup v2 with every controller, busybox, an
 * ext4 disk. Gone at the end of the block that holds it, and at the latest when this process is.
 *
 * What happens in it is real; how long it takes is not.
 */
export class Guest implements AsyncDisposable {
  /** Its kernel. */
  readonly release: string;
  readonly #dir: TempDir;
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #gone: Promise<unknown>;
  #said = "";
  #job: Job | undefined;
  #jobs = 0;

  private constructor(dir: TempDir, parts: Parts, process: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.#dir = dir;
    this.#process = process;
    this.release = parts.release;
    this.#gone = once(process, "close");
    process.on("error", (error) => (this.#said += error.message));
    process.stdin.on("error", () => undefined); // it is gone, which is told by the job that notices
    process.stderr.on("data", (chunk: Buffer) => (this.#said += chunk.toString()));
    createInterface({ input: process.stdout }).on("line", (line) => this.#hear(line));
  }

  /** @throws {PartsMissing} where there is nothing to make a guest from. */
  static async boot({ files = {}, drivers = [], lifeSeconds = 900 }: GuestSettings = {}): Promise<Guest> {
    const parts = await findParts(drivers);
    const dir = await tempDir("toroid-vm-");
    try {
      await writeFile(join(dir.path, "initramfs"), await makeInitramfs(parts));
      const disk = await makeDisk(dir.path, parts, files, lifeSeconds);
      // Killed by the kernel with us: whatever ends this process, the guest does not outlive it.
      const words = ["--pdeathsig", "KILL", parts.emulator, ...machine(dir.path, parts, disk)];
      const guest = new Guest(dir, parts, spawn("setpriv", words, { stdio: ["pipe", "pipe", "pipe"] }));
      await guest.#answer(0, BOOT_MS).catch(async (error: unknown) => {
        await guest.#end();
        throw error;
      });
      return guest;
    } catch (error) {
      await dir[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs a script by the guest's shell, in a directory of its own. One at a time. */
  async sh(script: string, { withinMs = JOB_MS } = {}): Promise<Reply> {
    if (this.#job !== undefined) throw new Error("the guest does one job at a time");
    this.#jobs += 1;
    const answer = this.#answer(this.#jobs, withinMs + PATIENCE_MS);
    const text = Buffer.from(script).toString("base64");
    this.#process.stdin.write(`${this.#jobs} ${Math.ceil(withinMs / 1000)} ${text}\n`);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    await this.#dir[Symbol.asyncDispose]();
  }

  async #end(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#gone;
  }

  async #answer(id: number, withinMs: number): Promise<Reply> {
    const answered = new Promise<Reply>((resolve) => (this.#job = { id, files: new Map(), resolve }));
    const timer = new AbortController();
    const late = sleep(withinMs, "late", { signal: timer.signal }).catch(() => "late");
    const first = await Promise.race([answered, this.#gone.then(() => "gone"), late]);
    timer.abort();
    this.#job = undefined;
    if (typeof first === "object") return first;
    const why = first === "late" ? `says nothing for ${withinMs} ms` : "is gone";
    throw new Error(`the guest ${why}\n${this.#said}${await this.#console()}`);
  }

  #hear(line: string): void {
    const [id, name = "", content = ""] = line.trim().split(" ");
    if (id === "ready" && this.#job?.id === 0) this.#job.resolve({ code: 0, files: new Map([["release", content]]) });
    if (Number(id) !== this.#job?.id) return; // late words of a job that was given up
    if (name === "-") this.#job.resolve({ code: Number(content), files: this.#job.files });
    else this.#job.files.set(name, Buffer.from(content, "base64").toString("latin1"));
  }

  /** The kernel's last words. */
  async #console(): Promise<string> {
    const text = await readFile(join(this.#dir.path, "console"), "latin1").catch(() => "");
    return text.split("\n").slice(-40).join("\n");
  }
}

function machine(dir: string, { kernel }: Parts, disk: string): string[] {
  const options: readonly (readonly [string, string])[] = [
    ["-display", "none"],
    ["-accel", "tcg,thread=multi"],
    ["-cpu", "max"],
    ["-smp", "2"],
    ["-m", "1024"],
    ["-kernel", kernel],
    ["-initrd", join(dir, "initramfs")],
    ["-append", "console=ttyS1 quiet panic=-1 oops=panic"],
    ["-drive", `file=${disk},format=raw,if=virtio,cache=unsafe`],
    ["-chardev", "stdio,id=jobs,signal=off"],
    ["-serial", "chardev:jobs"],
    ["-serial", `file:${join(dir, "console")}`],
  ];
  return ["-nodefaults", "-no-user-config", "-no-reboot", ...options.flat()];
}
