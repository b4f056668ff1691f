import { amiGc, amiLs, amiShow } from "./commands/ami.ts";
import { approve } from "./commands/approve.ts";
import { builds } from "./commands/builds.ts";
import { cancel } from "./commands/cancel.ts";
import { completion } from "./commands/completion.ts";
import { coordinator } from "./commands/coordinator.ts";
import { deadLettersDiscard, deadLettersLs, deadLettersReplay, deadLettersShow } from "./commands/dead-letters.ts";
import { deliveriesLs, deliveriesRetry, deliveriesTargets, deliveriesTest } from "./commands/deliveries.ts";
import { doctor } from "./commands/doctor.ts";
import { drain } from "./commands/drain.ts";
import { events } from "./commands/events.ts";
import { executor } from "./commands/executor.ts";
import { executors } from "./commands/executors.ts";
import { imageGc, imageLs, imagePull, imageRm } from "./commands/image.ts";
import { importFile } from "./commands/import.ts";
import { init } from "./commands/init.ts";
import { lint } from "./commands/lint.ts";
import { logs } from "./commands/logs.ts";
import { notify } from "./commands/notify.ts";
import { pause } from "./commands/pause.ts";
import { promote } from "./commands/promote.ts";
import { release } from "./commands/release.ts";
import { resume } from "./commands/resume.ts";
import { retry } from "./commands/retry.ts";
import { rollback } from "./commands/rollback.ts";
import { run } from "./commands/run.ts";
import { sample } from "./commands/sample.ts";
import { secretLs } from "./commands/secret.ts";
import { shell } from "./commands/shell.ts";
import { start } from "./commands/start.ts";
import { status } from "./commands/status.ts";
import { tokenCreate, tokenLs, tokenRm } from "./commands/token.ts";
import { trigger } from "./commands/trigger.ts";
import { wait } from "./commands/wait.ts";
import type { Verb } from "./verb.ts";

/** What commands of two words have in common, by the first of them. */
export const GROUPS: Readonly<Record<string, string>> = {
  image: "images that this executor's host keeps: what is there, fetching, and removing",
  "dead-letters": "what could not be taken in or run: what is there, why, replaying and discarding it",
  token: "tokens for the API: making, listing, removing",
  deliveries: "notifications: what was delivered to whom and what was not, trying again, and testing",
  secret:
    "secrets that builds ask for; their values are files of the executors, so that nothing here sets or removes them",
  ami: "AMIs that were baked: what is there, why, and removing what is of no use",
};

/** Every command, in the order of the help. */
export const VERBS: readonly Verb[] = [
  start,
  coordinator,
  executor,
  init,
  importFile,
  run,
  shell,
  lint,
  trigger,
  status,
  builds,
  logs,
  wait,
  events,
  pause,
  resume,
  approve,
  promote,
  rollback,
  release,
  cancel,
  retry,
  imageLs,
  imagePull,
  imageRm,
  imageGc,
  amiLs,
  amiShow,
  amiGc,
  deadLettersLs,
  deadLettersShow,
  deadLettersReplay,
  deadLettersDiscard,
  secretLs,
  executors,
  drain,
  tokenCreate,
  tokenLs,
  tokenRm,
  deliveriesLs,
  deliveriesRetry,
  deliveriesTargets,
  deliveriesTest,
  notify,
  sample,
  doctor,
  completion,
];
