/**
 * Do the coordinators and an executor understand each other? Coordinators leave on TOROID_CMD what they speak, in its
 * metadata; an executor looks before it takes anything. Pure.
 */
import { COMMAND_VERSION, PROTOCOL_VERSION, REPORT_VERSION } from "./versions.ts";

/** What coordinators have in common, as the newest of them has left it. */
export interface Spoken {
  /** The version of Toroid, for people. */
  readonly toroid: string;
  /** The newest version of the protocol that they understand. */
  readonly understood: number;
  /** What an executor has to understand of the commands that they send. */
  readonly commands: number;
}

const TOROID = "toroid.version";
const UNDERSTOOD = "toroid.protocol";
const COMMANDS = "toroid.commands";

export function spokenBy(toroid: string): Spoken {
  return { toroid, understood: PROTOCOL_VERSION, commands: COMMAND_VERSION };
}

export function metadataOf({ toroid, understood, commands }: Spoken): Record<string, string> {
  return { [TOROID]: toroid, [UNDERSTOOD]: String(understood), [COMMANDS]: String(commands) };
}

/** Null where no coordinator has said anything: those of version 2 and before do not. */
export function spokenOf(metadata: Readonly<Record<string, string>>): Spoken | null {
  const [understood, commands] = [Number(metadata[UNDERSTOOD]), Number(metadata[COMMANDS])];
  if (!Number.isInteger(understood) || !Number.isInteger(commands)) return null;
  return { toroid: metadata[TOROID] ?? "?", understood, commands };
}

/** May what `ours` says be put in place of `theirs`? Only forward: an older one that starts again changes nothing. */
export function isNewer(ours: Spoken, theirs: Spoken | null): boolean {
  if (theirs === null) return true;
  const isAhead = ours.understood > theirs.understood || ours.commands > theirs.commands;
  return isAhead && ours.understood >= theirs.understood && ours.commands >= theirs.commands;
}

/**
 * Why an executor cannot work for these coordinators, and what to upgrade; null: it can.
 *
 * @param toroid the executor's own version, for people
 */
export function whyNoPair(
  coordinators: Spoken | null,
  toroid: string,
  own: { readonly understood: number; readonly reports: number } = {
    understood: PROTOCOL_VERSION,
    reports: REPORT_VERSION,
  },
): { readonly code: "TOR_VERSION_NEWER" | "TOR_VERSION_OLDER"; readonly message: string } | null {
  if (coordinators === null) return null;
  const { commands, understood } = coordinators;
  if (own.understood < commands) {
    return {
      code: "TOR_VERSION_NEWER",
      message: `the coordinators (Toroid ${coordinators.toroid}) send commands of version ${commands} of the protocol, and this executor (Toroid ${toroid}) understands ${own.understood} at most: upgrade the executor`,
    };
  }
  if (understood < own.reports) {
    return {
      code: "TOR_VERSION_OLDER",
      message: `this executor (Toroid ${toroid}) reports in version ${own.reports} of the protocol, and the coordinators (Toroid ${coordinators.toroid}) understand ${understood} at most: upgrade a coordinator first`,
    };
  }
  return null;
}
