/**
 * The file's `check` of an environment whose executor was lost: did the deployment go? Run in a workspace like the
 * stage's own, it answers with its exit code: 0 it went, 1 it did not, anything else it cannot tell. Pure.
 */
import { bareResult } from "../protocol/stage.ts";
import type { Ending } from "./ending.ts";
import type { StageWork } from "./workspace/variables.ts";

/** What the script answers when the deployment did not go. */
const DID_NOT_GO = 1;

/** The stage with its check in place of what it runs. */
export function checkOf(work: StageWork): StageWork {
  const phases = { install: [], script: work.stage.check, publish: [], after: [] };
  return { ...work, stage: { ...work.stage, phases, entrypoint: null, artifactFiles: [], ami: null } };
}

/** What the end of the check says of the stage. An attempt that could not be run says nothing: it may still have acted. */
export function endingOfCheck(ending: Ending): Ending {
  if (ending.kind === "errored") return { ...ending, acted: true };
  const { outcome, exitCode, message } = ending.result;
  if (outcome === "passed") {
    const said = "its executor was lost, and `check` says that it went";
    return { kind: "finished", result: { ...ending.result, message: said, requests: [] } };
  }
  if (outcome === "failed" && exitCode === DID_NOT_GO) {
    const code = "TOR_CHECK_DENIES";
    return { kind: "errored", code, message: "`check` says that it did not go", acted: false, retryable: true };
  }
  const unsure = `its executor was lost, and \`check\` cannot tell whether it went: ${message}`;
  return { kind: "finished", result: { ...bareResult("unknown", unsure), logBytes: ending.result.logBytes } };
}
