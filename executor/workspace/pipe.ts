/**
 * A build's standard output and error: one named pipe for both, so that their order is kept. Node gives children
 * sockets, which a script cannot open again as `/dev/stdout`; a pipe that anybody may write to it can. Nobody else comes
 * near: the directory that it lies in is closed.
 */
import { closeSync, constants, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { Socket } from "node:net";
import type { Readable } from "node:stream";
import { execa } from "execa";
import { ToroidError } from "../../protocol/errors.ts";

export interface OpenPipe {
  /** Ends when every writer has closed it. */
  readonly reader: Readable;
  /** Open until it is given up: as long as nobody else writes, a pipe without it would be at its end. */
  readonly writerFd: number;
  /** Gives the writer up, once. */
  readonly giveUp: () => void;
}

export class OutputPipe {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes it anew at `path`. */
  static async make(path: string): Promise<OutputPipe> {
    await rm(path, { force: true });
    await makePipe(path);
    return new OutputPipe(path);
  }

  open(): OpenPipe {
    const readerFd = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK);
    // Answers at once, since there is a reader.
    const writerFd = openSync(this.path, constants.O_WRONLY);
    let isOpen = true;
    const giveUp = (): void => {
      if (isOpen) closeSync(writerFd);
      isOpen = false;
    };
    return { reader: new Socket({ fd: readerFd, readable: true, writable: false }), writerFd, giveUp };
  }
}

/** Anybody may write to it who comes that far; only we read. */
export async function makePipe(path: string): Promise<void> {
  const { exitCode, stderr } = await execa("mkfifo", ["-m", "622", "--", path], { reject: false, stdin: "ignore" });
  if (exitCode !== 0) throw new ToroidError("TOR_SANDBOX_SETUP", `cannot make a pipe: ${stderr}`);
}
