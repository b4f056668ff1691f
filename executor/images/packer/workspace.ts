/** The workspace that Packer itself runs in: for a template can run commands beside it. */
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { Limits } from "../../../protocol/pipeline/plan.ts";
import { type Bind, runOptions } from "../../workspace/options.ts";
import { BASE } from "../../workspace/variables.ts";
import type { Verdict } from "../../workspace/verdict.ts";
import type { SandboxSettings, Slot } from "../../workspace.ts";
import type { Alone, Inside } from "./inside/run.ts";
import { linesOf } from "./lines.ts";
import { TOOLS_DIR } from "./tools.ts";

/** Where it has its copy of the checkout. */
export const FILES_DIR = "/workspace";
const LONGEST_LINE = 64 * 1024;
/** That it is called is not for Packer's maker to know; plugins are where the image `host` shows them. */
const PACKER_ENVIRONMENT = {
  CHECKPOINT_DISABLE: "1",
  PACKER_NO_COLOR: "1",
  PACKER_PLUGIN_PATH: "/usr/local/share/packer/plugins",
  // Through Packer's proxy any other way wants an sftp-server in the image; this one wants `dd`.
  ANSIBLE_SSH_TRANSFER_METHOD: "piped",
} as const;

export interface InsideRun {
  /** A directory with `files`, the copy of the checkout. */
  readonly workspace: string;
  readonly tools: string;
  readonly settings: Pick<SandboxSettings, "allowWeak" | "masks">;
  /** A function of `inside/run.ts`, and what it gets. */
  readonly call: readonly ["runInside", Inside] | readonly ["runAlone", Alone];
  readonly binds: readonly Bind[];
  readonly variables: Readonly<Record<string, string>>;
  readonly network: "none" | "full" | "host";
  readonly places: readonly string[];
  readonly limits: Limits;
  readonly wallMs: number;
  readonly graceMs: number;
  readonly cancelled: AbortSignal;
  readonly abandoned: AbortSignal;
  readonly say: (line: string) => Promise<void>;
}

/** Where Packer's copy of the checkout is made before. */
export function filesIn(workspace: string): string {
  return join(workspace, "files");
}

/** Sees Packer through in `slot`. */
export async function runInside(slot: Slot, run: InsideRun): Promise<Verdict> {
  const { settings, limits, wallMs, graceMs, network, places } = run;
  const options = runOptions({
    ...settings,
    images: [run.tools, "host"],
    binds: [...run.binds, { source: filesIn(run.workspace), target: FILES_DIR, readOnly: false }],
    variables: { ...BASE, ...run.variables, ...PACKER_ENVIRONMENT },
    cwd: FILES_DIR,
    hostname: "packer",
    network,
    places,
    limits,
    wallMs,
    graceMs,
    silenceMs: null,
  });
  const [name, argument] = run.call;
  const script = `import("${TOOLS_DIR}/inside/run.ts").then((m) => m.${name}(${JSON.stringify(argument)}))`;
  const { output, verdict } = await slot.run({
    workspace: run.workspace,
    options,
    command: [`${TOOLS_DIR}/node`, "--eval", script],
    cancelled: run.cancelled,
    abandoned: run.abandoned,
  });
  const [ended] = await Promise.all([verdict, eachLine(output, run.say)]);
  return ended;
}

export async function eachLine(output: Readable, act: (line: string) => Promise<void>): Promise<void> {
  for await (const line of linesOf(output, LONGEST_LINE)) await act(line);
}
