/** A slot of `toroid run`: the helper started by itself, as root, with what it chooses when nobody says. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { layerByHelper } from "../images/layer.ts";
import type { Unpacked } from "../images/unpack.ts";
import { removeTree } from "../trees.ts";
import { runHelper } from "../workspace/helper.ts";
import type { OutputPipe } from "../workspace/pipe.ts";
import type { Verdict } from "../workspace/verdict.ts";
import type { RunningSandbox, Slot, SlotRun } from "../workspace.ts";

export class LocalSlot implements Slot {
  readonly network = "host";
  readonly beside: Slot | null;
  readonly #binary: string;
  readonly #pipe: OutputPipe;

  constructor(binary: string, pipe: OutputPipe, beside: Slot | null) {
    this.#binary = binary;
    this.#pipe = pipe;
    this.beside = beside;
  }

  async run(o: SlotRun): Promise<RunningSandbox> {
    const scratch = scratchOf(o.workspace);
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    const { reader, writerFd, giveUp } = this.#pipe.open();
    const verdict = runHelper({
      binary: this.#binary,
      options: [...o.options, "--scratch", scratch],
      command: o.command,
      stdio: ["ignore", writerFd, writerFd],
      taken: giveUp,
      cancelled: o.cancelled,
      abandoned: o.abandoned,
    });
    return { output: reader, verdict };
  }

  /** Runs a command that has our own standard input, output and error; on a terminal of its own where ours are one. */
  async attach(o: SlotRun, onTerminal: boolean): Promise<Verdict> {
    const scratch = scratchOf(o.workspace);
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    return await runHelper({
      binary: this.#binary,
      options: [...o.options, "--scratch", scratch, ...(onTerminal ? ["--pty"] : [])],
      command: o.command,
      stdio: [0, 1, 2],
      taken: () => undefined,
      cancelled: o.cancelled,
      abandoned: o.abandoned,
    });
  }

  saveLayer(workspace: string, root: string): Promise<Unpacked | string> {
    return layerByHelper(this.#binary, scratchOf(workspace), root);
  }

  /** Root reads all that there is. */
  async takeOver(): Promise<void> {}

  async clear(workspace: string): Promise<void> {
    await removeTree(workspace);
  }
}

function scratchOf(workspace: string): string {
  return join(workspace, "scratch");
}
