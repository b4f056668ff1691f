/**
 * One image made by Packer. Two workspaces are open at once: of one the image is made, with the stage's limits and
 * network; in the other is Packer, without any network, beside an SSH server that is its only way to the first.
 *
 *   Packer ──ssh, loopback──▶ our server (`inside/`) ──named pipes──▶ a shell in the image (`agent.ts`)
 */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Limits } from "../../../protocol/pipeline/plan.ts";
import type { LogStream } from "../../log-stream.ts";
import { runOptions } from "../../workspace/options.ts";
import { type Ruling, rulingOf } from "../../workspace/outcome.ts";
import { makePipe } from "../../workspace/pipe.ts";
import { BASE } from "../../workspace/variables.ts";
import type { Verdict } from "../../workspace/verdict.ts";
import type { SandboxSettings, Slot } from "../../workspace.ts";
import { agentText, EXCHANGE_DIR } from "./agent.ts";
import type { Inside } from "./inside/run.ts";
import { PackerReport } from "./report.ts";
import { KEY_FILE, SSH_PORT, type Template, wordsOf } from "./template.ts";
import { TOOLS_DIR } from "./tools.ts";
import { eachLine, FILES_DIR, runInside } from "./workspace.ts";

/** What a stage lends to the making of its image. */
export interface Place {
  readonly slot: Slot;
  readonly beside: Slot;
  /** As a stage has them. */
  readonly network: "full" | "none";
  readonly places: readonly string[];
  readonly limits: Limits;
  readonly wallMs: number;
  readonly log: LogStream;
  readonly cancelled: AbortSignal;
  readonly abandoned: AbortSignal;
}

export interface PackerRun {
  readonly template: Template;
  /** Its directory in the copy of the checkout. */
  readonly dir: string;
  /** As people know it. */
  readonly shown: string;
  readonly variables: Readonly<Record<string, string>>;
  /** What the image is made on. */
  readonly base: readonly string[];
  /** Two directories for the two workspaces; the first has `files`, the copy of the checkout. */
  readonly workspaces: { readonly packer: string; readonly image: string };
  readonly tools: string;
  readonly settings: Pick<SandboxSettings, "allowWeak" | "masks">;
}

const AGENT_DIR = "/toroid/agent";
const GRACE_MS = 10_000;
/** The exit code of a command that is not there. */
const NOT_FOUND = 127;

/** Null when the image is made, and can be saved. */
export async function runPacker(run: PackerRun, at: Place): Promise<Ruling | null> {
  const exchange = join(run.workspaces.packer, "exchange");
  const agent = join(run.workspaces.image, "agent");
  await Promise.all([mkdir(exchange, { mode: 0o755 }), mkdir(agent, { mode: 0o755 })]);
  await makePipe(join(exchange, "requests"));
  await chmod(join(exchange, "requests"), 0o666);
  await writeFile(join(agent, "agent"), agentText());
  const binds = { exchange, agent };
  const report = new PackerReport({ [`${FILES_DIR}/`]: "", [run.template.file]: run.shown.split("/").at(-1) ?? "" });
  // Who ends badly is the reason, and leaves the other nothing to do. The image ends well when Packer has let go of it.
  const [imageOver, packerOver] = [new AbortController(), new AbortController()];
  let reason: "image" | "packer" | null = null;
  const image = inImage(run, at, binds, AbortSignal.any([at.abandoned, packerOver.signal]));
  const packer = inPacker(run, at, binds, AbortSignal.any([at.abandoned, imageOver.signal]), report);
  const ended = (which: "image" | "packer", other: AbortController) => (verdict: Verdict) => {
    if (isFine(verdict)) return verdict;
    reason ??= which;
    other.abort();
    return verdict;
  };
  const [made, packed] = await Promise.all([
    image.then(ended("image", imageOver)),
    packer.then(ended("packer", packerOver)),
  ]);
  at.abandoned.throwIfAborted();
  at.cancelled.throwIfAborted();
  return rulingOn({ reason, made, packed }, report, run.shown, at);
}

/** Null when both ended well and an image was made. */
function rulingOn(
  ends: { readonly reason: "image" | "packer" | null; readonly made: Verdict; readonly packed: Verdict },
  report: PackerReport,
  shown: string,
  at: Place,
): Ruling | null {
  const { made, packed } = ends;
  switch (ends.reason) {
    case null:
      return report.artifacts > 0 ? null : failed(`no build of ${shown} is for a container`);
    case "image":
      if (made.reason === "exit" && made.code === NOT_FOUND)
        return failed("the image that it is made on has no /bin/sh, by which provisioners run");
      return ruled(made, at, "the container of the image");
    case "packer":
      if (packed.reason !== "exit") return ruled(packed, at, "Packer");
      return failed(`Packer: ${report.failure ?? `exit code ${packed.code ?? "unknown"}`}`, packed.code);
  }
}

function isFine(verdict: Verdict): boolean {
  return verdict.reason === "exit" && verdict.code === 0;
}

export function failed(message: string, exitCode: number | null = null): Ruling {
  return { kind: "ended", outcome: "failed", message, exitCode, signal: null, phase: "image" };
}

/** What ended otherwise than by a command's own exit, as for any run. */
function ruled(verdict: Verdict, at: Place, what: string): Ruling {
  const about = { phase: "image", failed: null, timeoutMs: at.wallMs, silenceMs: null, cancelled: null };
  const ruling = rulingOf(verdict, about);
  return { ...ruling, message: `${what}: ${ruling.message}` };
}

interface Binds {
  readonly exchange: string;
  readonly agent: string;
}

async function inImage(run: PackerRun, at: Place, binds: Binds, abandoned: AbortSignal): Promise<Verdict> {
  const options = runOptions({
    ...common(run, at),
    images: run.base,
    binds: [
      { source: binds.exchange, target: EXCHANGE_DIR, readOnly: true },
      { source: binds.agent, target: AGENT_DIR, readOnly: true },
    ],
    variables: BASE,
    cwd: "/",
    hostname: "image",
    network: at.network === "full" || at.places.length > 0 ? at.slot.network : "none",
    places: at.places,
  });
  const { output, verdict } = await at.slot.run({
    workspace: run.workspaces.image,
    options,
    command: ["/bin/sh", `${AGENT_DIR}/agent`],
    // Packer ends first, and in order; then there is nothing that would want it.
    cancelled: NEVER,
    abandoned,
  });
  const [ended] = await Promise.all([verdict, eachLine(output, (line) => at.log.line(line))]);
  return ended;
}

async function inPacker(
  run: PackerRun,
  at: Place,
  binds: Binds,
  abandoned: AbortSignal,
  report: PackerReport,
): Promise<Verdict> {
  const inside: Inside = {
    exchange: EXCHANGE_DIR,
    port: SSH_PORT,
    keyFile: KEY_FILE,
    packer: `${TOOLS_DIR}/packer`,
    words: wordsOf(run.template, join(FILES_DIR, run.dir)),
  };
  return runInside(at.beside, {
    workspace: run.workspaces.packer,
    tools: run.tools,
    settings: run.settings,
    call: ["runInside", inside],
    binds: [{ source: binds.exchange, target: EXCHANGE_DIR, readOnly: false }],
    variables: run.variables,
    network: "none",
    places: [],
    limits: at.limits,
    wallMs: at.wallMs,
    graceMs: GRACE_MS,
    cancelled: at.cancelled,
    abandoned,
    say: async (line) => {
      const text = report.take(line);
      if (text !== null) await at.log.line(text);
    },
  });
}

const NEVER = new AbortController().signal;

function common({ settings }: PackerRun, { limits, wallMs }: Place) {
  const { allowWeak, masks } = settings;
  return { allowWeak, masks, limits, wallMs, graceMs: GRACE_MS, silenceMs: null } as const;
}
