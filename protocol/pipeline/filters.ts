import { selects } from "./glob.ts";
import type { Source, StagePlan } from "./model.ts";
import type { Config } from "./schema.ts";
import { clip } from "./text-rules.ts";

/** Texts in a commit message that skip its build, whatever their case. */
export const SKIP_MARKERS: readonly string[] = ["[skip ci]", "[ci skip]", "[skip toroid]"];

/** Why the head commit's message skips the build, or null. */
export function skippedByMessage(message: string, texts: readonly string[] = SKIP_MARKERS): string | null {
  const folded = message.toLowerCase();
  const found = texts.find((text) => folded.includes(text.toLowerCase()));
  return found === undefined ? null : `the commit message says \`${clip(found)}\``;
}

/** Why this push runs nothing, in a sentence, or null: `skip`, the message, then `on`. */
export function skipReason({ on, skip }: Pick<Config, "on" | "skip">, source: Source): string | null {
  if (skip === true) return "the file says `skip: true`";
  const texts = skip === false ? [] : [...SKIP_MARKERS, ...(skip ?? [])];
  return (
    skippedByMessage(source.message, texts) ?? refReason(on?.push ?? on, source) ?? pathReason(on?.push ?? on, source)
  );
}

type Filters = { readonly [K in "branches" | "tags" | "paths"]?: readonly string[] | undefined };

function refReason(filters: Filters = {}, { branch, tag, ref }: Source): string | null {
  const { branches, tags } = filters;
  if (branches === undefined && tags === undefined) return null;
  if (branch !== null) {
    if (branches === undefined) return `\`on\` names tags only, and \`${clip(branch)}\` is a branch`;
    return selects(branches, branch) ? null : `the branch \`${clip(branch)}\` is not among \`on.branches\``;
  }
  if (tag !== null) {
    if (tags === undefined) return `\`on\` names branches only, and \`${clip(tag)}\` is a tag`;
    return selects(tags, tag) ? null : `the tag \`${clip(tag)}\` is not among \`on.tags\``;
  }
  return `\`${clip(ref)}\` is neither a branch nor a tag, and \`on\` names those`;
}

/** A tag is not a change of files, and what is unknown may have changed: both run. */
function pathReason(filters: Filters = {}, { tag, changedPaths }: Source): string | null {
  const { paths } = filters;
  if (paths === undefined || tag !== null || changedPaths === null) return null;
  if (changedPaths.some((path) => selects(paths, path))) return null;
  if (changedPaths.length === 0) return "no file changed, and `on.paths` asks for one";
  return changedPaths.length === 1
    ? "the one file that changed is not among `on.paths`"
    : `none of the ${changedPaths.length} files that changed is among \`on.paths\``;
}

/** Whether the `publish` phase of `stage` runs for this push once `script` has passed. */
export function shouldPublish(stage: Pick<StagePlan, "phases" | "publishRefs">, source: Omit<Source, "tree">): boolean {
  return stage.phases.publish.length > 0 && whyNotPublished(stage, source) === null;
}

/** Why `publish` is left out for this push, in a sentence, or null. Refs that are no branch or tag are not trusted. */
export function whyNotPublished(
  { publishRefs }: Pick<StagePlan, "publishRefs">,
  source: Omit<Source, "tree">,
): string | null {
  const { branch, tag, ref, defaultBranch } = source;
  if (branch === null && tag === null) return `\`${clip(ref)}\` is neither a branch nor a tag, so it cannot publish`;
  if (publishRefs === null) {
    if (tag !== null || (branch !== null && branch === defaultBranch)) return null;
    if (defaultBranch === null)
      return "without `publish.on` only tags and the default branch publish, and which that is is not known";
    return `without \`publish.on\` only tags and \`${clip(defaultBranch)}\` publish, not \`${clip(branch ?? ref)}\``;
  }
  if (tag !== null)
    return publishRefs.tags !== null && selects(publishRefs.tags, tag)
      ? null
      : `the tag \`${clip(tag)}\` is not among \`publish.on.tags\``;
  return publishRefs.branches !== null && branch !== null && selects(publishRefs.branches, branch)
    ? null
    : `the branch \`${clip(branch ?? ref)}\` is not among \`publish.on.branches\``;
}
