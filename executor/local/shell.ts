/** A person's own command, or a shell, where a stage's script would run. */
import type { LogStream } from "../log-stream.ts";
import { endBefore } from "../stage-run.ts";
import { driveOf, mainPhases } from "../workspace/driver.ts";
import { type Ruling, rulingOf } from "../workspace/outcome.ts";
import type { Furnished } from "./furnish.ts";

/** A person thinks as long as they like; the sandbox wants to be told some end. */
const WALL_MS = 30 * 86_400_000;
const SIGNALLED = 128;
/** The better one of those that are there. */
const SHELL = ["/bin/sh", "-c", "if command -v bash >/dev/null; then exec bash; else exec sh; fi"];

/** How a shell would say how it ended; or why it could not be begun. */
export type ShellEnd =
  | { readonly kind: "shell"; readonly exit: number; readonly message: string }
  | { readonly kind: "not-begun"; readonly ruling: Ruling };

interface ShellOptions {
  readonly command: readonly string[];
  readonly onTerminal: boolean;
  readonly variables: Readonly<Record<string, string>>;
  readonly install: boolean;
  readonly cancelled: AbortSignal;
}

export async function openShell(
  made: Furnished | { readonly ruling: Ruling },
  log: LogStream,
  o: ShellOptions,
): Promise<ShellEnd> {
  if ("ruling" in made) return { kind: "not-begun", ruling: (await endBefore(made.ruling, log)).ruling };
  const { workspace, furnishing, slot } = made;
  const installed = o.install ? await install(made, log, o.cancelled) : null;
  await log.end();
  if (installed !== null) return { kind: "not-begun", ruling: installed };
  const variables = { ...furnishing.variables, ...o.variables };
  const options = workspace.optionsOf(
    { ...furnishing, variables },
    { publishes: false, wallMs: WALL_MS, silenceMs: null },
  );
  const command = o.command.length > 0 ? o.command : SHELL;
  const abandoned = new AbortController().signal;
  const at = { workspace: workspace.path, options, command, cancelled: o.cancelled, abandoned };
  const verdict = await slot.attach(at, o.onTerminal);
  if (!verdict.started) return { kind: "not-begun", ruling: rulingOf(verdict, NOWHERE) };
  const exit = verdict.code ?? SIGNALLED + (verdict.signal ?? 0);
  const isOwnEnd = verdict.reason === "exit" || verdict.reason === "signal";
  return { kind: "shell", exit, message: isOwnEnd ? "" : verdict.message };
}

/** Null when it went well. */
async function install(
  { workspace, furnishing }: Furnished,
  log: LogStream,
  cancelled: AbortSignal,
): Promise<Ruling | null> {
  const phases = mainPhases(furnishing.stage).filter(({ phase }) => phase === "install");
  if (phases.length === 0) return null;
  const { timeoutMs, timeouts } = furnishing.stage;
  const drive = driveOf("main", phases, log.nonce);
  const verdict = await workspace.run(furnishing, { drive, publishes: false, wallMs: timeoutMs, cancelled }, log);
  const at = { ...NOWHERE, phase: "install", failed: log.failed, timeoutMs, silenceMs: timeouts.silenceMs };
  const ruling = rulingOf(verdict, { ...at, cancelled: cancelled.aborted ? "interrupted" : null });
  return ruling.kind === "ended" && ruling.outcome === "passed" ? null : ruling;
}

const NOWHERE = { phase: null, failed: null, timeoutMs: WALL_MS, silenceMs: null, cancelled: null };
