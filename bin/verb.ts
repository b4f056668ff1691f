import type { z } from "zod";
import type { Api } from "./api.ts";
import type { Asking } from "./ask.ts";

/** What a command may touch besides its arguments. */
export interface Context {
  /** `--json`: data for programs instead of text for people. */
  readonly json: boolean;
  /** Data, on standard output; resolves when it is taken, so that a slow reader slows us down. */
  readonly out: (text: string | Uint8Array) => Promise<void>;
  /** A line for people, on standard error. */
  readonly err: (line: string) => void;
  /** Standard output is a terminal that shows colours, and nobody asked for none. */
  readonly colours: boolean;
  /** Standard error is a terminal: progress may be shown there, and wiped away. */
  readonly onTerminal: boolean;
  /** The words behind `--`, of a command that has a use for them. */
  readonly extras: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Who acts, as far as that is known here: `--as`, TOROID_USER, or a login name. */
  readonly who: string | null;
  /** The coordinator at `--server`. */
  readonly api: () => Api;
  /** Of the person at the terminal; null when nobody is there who could answer. */
  readonly ask: () => Asking | null;
  /** Aborts at Ctrl-C, and when we are told to end. A command that does not ask for it is simply ended. */
  readonly interrupted: () => AbortSignal;
}

/** One command: its place in the table, and what it does. */
export interface Verb<Options extends z.ZodType = z.ZodType> {
  /** With its arguments, as in its help: `pause <repository> <environment>`. */
  readonly usage: string;
  /** One line. */
  readonly summary: string;
  /** More, below the options in its help. */
  readonly more?: string;
  /** Whole command lines, at least one, at the end of its help. */
  readonly examples: readonly string[];
  /** What the words behind `--` are; without it they are arguments as all others. */
  readonly extras?: string;
  readonly flags: readonly Flag[];
  /** Checks and names what the flags gave. */
  readonly options: Options;
  /** Answers the exit code; arguments are those of `usage`, in order, absent ones undefined. */
  run(context: Context, args: readonly (string | undefined)[], options: z.output<Options>): Promise<number>;
}

export interface Flag {
  /** `-p, --param <name=value>` */
  readonly flags: string;
  readonly about: string;
  /** What it may be, for shells to complete. */
  readonly choices?: readonly string[];
  /** May be given several times; the option is then a list. */
  readonly many?: boolean;
}

/** Keeps a command's own type of options, where a plain annotation would lose it. */
export function verb<Options extends z.ZodType>(v: Verb<Options>): Verb<Options> {
  return v;
}
