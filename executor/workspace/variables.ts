/** What a script finds in its environment: the table in the manual. Pure. */
import { amiOf, amiVariable } from "../../protocol/ami.ts";
import { formatBuild, type StageId } from "../../protocol/ids.ts";
import { outputVariable } from "../../protocol/pipeline/output-file.ts";
import { amisOfArtifact, type CheckedSource, filesOfArtifact, type Work } from "../../protocol/work.ts";

export const OUTPUT_FILE = "/toroid/output";
export const QUEUE_FILE = "/toroid/queue";
export const ARTIFACT_DIR = "/toroid/artifact";

export type StageWork = Extract<Work, { kind: "stage" }>;

/** A name that a shell can hold. */
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

export const BASE: Readonly<Record<string, string>> = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  USER: "root",
  LOGNAME: "root",
  SHELL: "/bin/sh",
  LANG: "C.UTF-8",
  TMPDIR: "/tmp",
};

/**
 * Later ones win: what every process needs, then what the image wants, then the file's `env` (with the environment's own in it), then the params
 * of the request, then ours, which nobody can pretend.
 *
 * @param region whose AMIs this executor would use
 */
export function variablesOf(
  id: StageId,
  work: StageWork,
  attempt: number,
  publicUrl: string | null,
  image: Readonly<Record<string, string>> = {},
  region: string | null = null,
): Readonly<Record<string, string>> {
  const variables: Record<string, string> = { ...BASE };
  for (const given of [image, work.stage.env, work.context.params]) {
    for (const [name, value] of Object.entries(given)) {
      if (NAME.test(name) && !value.includes("\0")) variables[name] = value;
    }
  }
  return {
    ...variables,
    ...outputVariables(work.context.outputs),
    ...ownVariables(id, work, attempt, publicUrl),
    ...amiVariables(work.context, region),
  };
}

function ownVariables(
  id: StageId,
  { source, stage, context }: StageWork,
  attempt: number,
  publicUrl: string | null,
): Record<string, string> {
  return {
    CI: "true",
    TOROID: "true",
    TOROID_REPOSITORY: id.repository,
    TOROID_BUILD: String(id.number),
    TOROID_BUILD_URL: publicUrl === null ? "" : `${publicUrl}/builds/${id.repository}/${id.number}`,
    TOROID_COMMIT: source.commit,
    TOROID_BRANCH: source.branch ?? "",
    TOROID_TAG: source.tag ?? "",
    TOROID_REF: source.ref,
    TOROID_COMMIT_RANGE: commitRange(source),
    TOROID_STAGE: id.stage,
    TOROID_ENVIRONMENT: stage.environment ?? "",
    TOROID_ATTEMPT: String(attempt),
    TOROID_ARTIFACT: filesOfArtifact(context.artifact) === null ? "" : ARTIFACT_DIR,
    TOROID_PREVIOUS_COMMIT: context.previousCommit ?? "",
    TOROID_FENCE: context.fence === null ? "" : String(context.fence),
    TOROID_OUTPUT: OUTPUT_FILE,
    TOROID_QUEUE: QUEUE_FILE,
  };
}

/** @param region of the executor; of what is not there, or when it knows none, the first is taken */
function amiVariables(
  { artifact, previousArtifact }: StageWork["context"],
  region: string | null,
): Record<string, string> {
  const [now, before] = [amisOfArtifact(artifact), amisOfArtifact(previousArtifact)];
  return {
    TOROID_AMI: amiOf(now, region),
    ...Object.fromEntries(Object.entries(now).map(([one, ami]) => [amiVariable(one), ami])),
    TOROID_PREVIOUS_AMI: amiOf(before, region),
  };
}

function commitRange(source: CheckedSource): string {
  return source.before === null ? source.commit : `${source.before}...${source.commit}`;
}

function outputVariables(outputs: Readonly<Record<string, Readonly<Record<string, string>>>>): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [stage, values] of Object.entries(outputs)) {
    for (const [key, value] of Object.entries(values)) {
      if (!value.includes("\0")) variables[outputVariable(stage, key)] = value;
    }
  }
  return variables;
}

/** A host name that says which build this is, of the characters and length that one may have. */
export function hostnameOf(id: StageId): string {
  const name = formatBuild(id).replace(/^.*\//, "").replace("#", "-");
  return (
    `${name}-${id.stage}`
      .replace(/[^A-Za-z0-9-]+/g, "-")
      .replace(/^-+/, "")
      .slice(0, 63)
      .replace(/-+$/, "") || "toroid"
  );
}
