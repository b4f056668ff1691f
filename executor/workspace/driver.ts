/** The shell scripts that run a stage's phases inside its workspace. Pure: text in, text out. */
import { installedText } from "../../protocol/pipeline/generated-template.ts";
import type { StagePlan } from "../../protocol/pipeline/plan.ts";
import { markPrefix } from "../log/marks.ts";

/** Where a workspace shows the files made here. */
export const STEPS_DIR = "/toroid/steps";
/** Where it shows the checkout. */
export const CHECKOUT_DIR = "/workspace";

export type Phase = "install" | "script" | "publish" | "after";

/** One of our files below {@link STEPS_DIR}. */
export interface StepFile {
  readonly name: string;
  readonly text: string;
}

/** The phases of one sandbox run, in order. */
export interface Drive {
  /** What the sandbox starts with `sh`. */
  readonly driver: StepFile;
  readonly files: readonly StepFile[];
}

/**
 * The driver of one run. Each phase is a shell of its own in the same sandbox, so that what `install` started in the
 * background lives on in `script`. Two marks per phase tell the log when it began and when it failed.
 */
export function driveOf(run: string, phases: readonly { phase: Phase; text: string }[], nonce: string): Drive {
  const files = phases.map(({ phase, text }) => ({ name: phase, text }));
  const calls = phases.map(({ phase }) => `run ${phase} sh -eu ${STEPS_DIR}/${phase}`);
  const text = `# Made by Toroid: runs each phase and says where one ends and the next begins.
mark() { printf '${markPrefix(nonce)}%s\\n' "$*"; }
# All inside are asked to end at once: this waits for the phase, which has its time of grace, and begins no other.
ended=
trap 'ended=143' TERM
# What this shell itself would print of a phase that a signal ended is not the script's output; so the phase's
# descriptors are set behind the fork, for some shells set them before it.
exec 3>&2 2>/dev/null
run() {
  phase=$1
  shift
  mark phase "$phase"
  (exec "$@" </dev/null 2>&3 3>&-) || { code=$?; mark failed "$phase" "$code"; exit "$code"; }
  [ -z "$ended" ] || exit "$ended"
}
${calls.join("\n")}
`;
  return { driver: { name: run, text }, files };
}

/**
 * The lines of a phase as one script, so that `cd` and variables last from line to line. `-e` alone would let
 * `a && b` fail unseen in all but the last line; the check after each does not.
 */
export function phaseText(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n\ncase $? in 0) ;; *) exit $? ;; esac\n`).join("");
}

/** The main phases of a stage: what decides its outcome. */
export function mainPhases(stage: StagePlan): readonly { phase: Phase; text: string }[] {
  const phases: { phase: Phase; text: string }[] = [];
  const { install } = stage.phases;
  // Only what is made of a template can have it done.
  const done = stage.image.kind === "packer" ? installedText(install, stage.workdir) : "";
  if (install.length > 0) phases.push({ phase: "install", text: `${done}${phaseText(install)}` });
  if (stage.phases.script.length > 0) phases.push({ phase: "script", text: phaseText(stage.phases.script) });
  else if (stage.entrypoint !== null) {
    phases.push({ phase: "script", text: entrypointText(stage.entrypoint, stage.environment ?? "") });
  }
  return phases;
}

/** Calls `<entrypoint> <environment>` in the checkout: with its own interpreter when it names one, else `sh -eu`. */
export function entrypointText(entrypoint: string, environment: string): string {
  const file = quoted(`./${entrypoint}`);
  const shown = quoted(entrypoint);
  const argument = quoted(environment);
  return `cd ${CHECKOUT_DIR}
if [ ! -f ${file} ]; then
  printf 'toroid: the entry point %s is not in the checkout\\n' ${shown} >&2
  exit 127
fi
first=
IFS= read -r first <${file} || :
case $first in
'#!'* | ?ELF*)
  if [ ! -x ${file} ]; then
    printf 'toroid: the entry point %s is not executable: git update-index --chmod=+x %s\\n' ${shown} ${shown} >&2
    exit 126
  fi
  exec ${file} ${argument} "$@"
  ;;
esac
exec sh -eu ${file} ${argument} "$@"
`;
}

/** One word of a shell, whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
