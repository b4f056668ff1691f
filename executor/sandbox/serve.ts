/** The sandbox's `serve` as a child of ours: the one process of an executor that stays root. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { ToroidError } from "../../protocol/errors.ts";

/** Making the networks of many slots takes its time. */
const READY_MS = 60_000;

export class Serve implements AsyncDisposable {
  /** Resolves with how it ended. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ended: Promise<string>) {
    this.#child = child;
    this.ended = ended;
  }

  /**
   * Resolves once it listens. It ends when we let go of its standard input, or die: later we may not signal it.
   *
   * @param say called with what it complains of from then on
   * @throws {ToroidError} TOR_SANDBOX_SETUP with what it said when it does not start
   */
  static async start(binary: string, options: readonly string[], say: (line: string) => void): Promise<Serve> {
    const words = ["serve", ...options, "--parent-pid", String(process.pid)];
    const child = spawn(binary, words, { stdio: ["pipe", "pipe", "pipe"], env: { PATH: process.env["PATH"] } });
    const ended = endOf(child);
    const complaints: string[] = [];
    let heard = (line: string): void => void complaints.push(line);
    createInterface({ input: child.stderr }).on("line", (line) => heard(line.replace(/^toroid-sandbox: /, "")));
    child.stdin.on("error", () => undefined); // it is gone, and its end is told elsewhere
    const late = AbortSignal.timeout(READY_MS);
    const listens = new Promise<null>((resolve) => child.stdout.once("data", () => resolve(null)));
    const why = await Promise.race([listens, ended, aborted(late)]);
    child.stdout.resume();
    if (why !== null) {
      child.kill("SIGKILL");
      const said = complaints.join("; ").slice(0, 1_000);
      throw new ToroidError("TOR_SANDBOX_SETUP", `the sandbox's serve does not start: ${said === "" ? why : said}`);
    }
    heard = say;
    for (const line of complaints) say(line);
    return new Serve(child, ended);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.destroy();
    await this.ended;
  }
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(`it ended with ${signal ?? code ?? "no code"}`));
  });
}

function aborted(signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(`it was not ready after ${READY_MS / 1_000} s`), { once: true });
  });
}
