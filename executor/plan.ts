/** What a push runs: its commit made known, `.toroid.yml` read at that commit. Git and YAML only, nothing is executed. */
import { dispositionOf, ToroidError } from "../protocol/errors.ts";
import type { StageResult } from "../protocol/events.ts";
import { frame } from "../protocol/pipeline/frame.ts";
import { TEMPLATE_FILE } from "../protocol/pipeline/generated-template.ts";
import { planOf, type Tree } from "../protocol/pipeline/plan.ts";
import type { CheckedSource, Push } from "../protocol/work.ts";
import { GitFailure } from "./checkout/git.ts";
import { historyOf } from "./checkout/history.ts";
import type { Mirror } from "./checkout/mirror.ts";
import type { Address } from "./checkout/remote.ts";
import type { Checkouts } from "./checkout.ts";

export const PIPELINE_FILE = ".toroid.yml";
/** A pipeline file that is larger is a mistake. */
const FILE_LIMIT_BYTES = 256 * 1024;
const SYMBOLIC_LINK = "120000";

export type PlannedPush = NonNullable<StageResult["planned"]>;

/** @throws {ToroidError} TOR_NOT_FOUND, TOR_GIT_AUTH, TOR_GIT_UNREACHABLE, TOR_DISK_FULL */
export async function planPush(checkouts: Checkouts, push: Push, signal: AbortSignal): Promise<PlannedPush> {
  const { mirror, address } = checkouts.mirror(push.repository, push.remote);
  const { ref, object } = await objectOf(mirror, address, push, signal);
  await mirror.need(object, ref, address, signal, true);
  const [head, file, history] = await Promise.all([
    readHead(mirror, object, signal),
    readFile(mirror, object, signal),
    historyOf(mirror, push, { ref, object }, signal),
  ]);
  const source: CheckedSource = {
    ref,
    branch: ref.startsWith("refs/heads/") ? ref.slice("refs/heads/".length) : null,
    tag: ref.startsWith("refs/tags/") ? ref.slice("refs/tags/".length) : null,
    before: push.before,
    commit: head.commit,
    message: head.message,
    author: head.author,
    defaultBranch: push.defaultBranch,
  };
  if (file.kind === "wrong") return invalid(source, "", [problem(file.message, file.hint)]);
  // Only a file that filters by path needs to know what changed, and finding out takes a git process or two.
  const changedPaths = /\bpaths\b/.test(file.text) ? await changesOf(mirror, address, push, ref, object, signal) : null;
  const tree = await treeOf(mirror, object, file, signal);
  const planned = planOf(PIPELINE_FILE, file.text, {
    repository: push.repository,
    ref,
    branch: source.branch,
    tag: source.tag,
    commit: source.commit,
    message: source.message,
    changedPaths,
    defaultBranch: push.defaultBranch,
    tree,
  });
  switch (planned.kind) {
    case "plan":
      // The wire's types are mutable copies of the same shape.
      return {
        kind: "plan",
        source,
        history,
        plan: structuredClone(planned.plan) as Extract<PlannedPush, { kind: "plan" }>["plan"],
      };
    case "skip":
      return { kind: "skip", source, reason: planned.reason, stages: [...planned.stages] };
    case "invalid":
      return invalid(
        source,
        file.text,
        planned.problems.map((one) => ({ ...one, frame: frame(one, file.text) })),
      );
  }
}

type Problems = Extract<PlannedPush, { kind: "invalid" }>["problems"];

function invalid(source: CheckedSource, text: string, problems: Iterable<Problems[number] | object>): PlannedPush {
  return { kind: "invalid", source, problems: [...problems] as Problems, text };
}

function problem(message: string, hint: string): object {
  return { kind: "invalid", file: PIPELINE_FILE, line: 1, column: 1, length: 1, message, hint, path: "", frame: "" };
}

/** The whole name of the ref, and the commit or annotated tag that it was pushed as, or stands at now. */
async function objectOf(
  mirror: Mirror,
  address: Address,
  push: Push,
  signal: AbortSignal,
): Promise<{ readonly ref: string; readonly object: string }> {
  if (push.commit !== null) {
    return { ref: push.ref.startsWith("refs/") ? push.ref : `refs/heads/${push.ref}`, object: push.commit };
  }
  const { ref, commit } = await mirror.resolve(push.ref, address, signal);
  return { ref, object: commit };
}

interface Head {
  readonly commit: string;
  readonly author: string;
  readonly message: string;
}

/** The commit that `object` is, or that the tag `object` is of. */
async function readHead(mirror: Mirror, object: string, signal: AbortSignal): Promise<Head> {
  const shown = await mirror.run(
    ["log", "-1", "--no-show-signature", "--format=%H%x00%an <%ae>%x00%B", object],
    signal,
  );
  const [commit = "", author = "", ...message] = shown.split("\0");
  return { commit, author, message: message.join("\0").trimEnd() };
}

type FileRead =
  | { readonly kind: "text"; readonly text: string; readonly template: Tree["template"] }
  | { readonly kind: "wrong"; readonly message: string; readonly hint: string };

async function readFile(mirror: Mirror, object: string, signal: AbortSignal): Promise<FileRead> {
  const listed = await mirror.run(["ls-tree", "-l", object, PIPELINE_FILE, TEMPLATE_FILE], signal);
  const lines = new Map(listed.split("\n").map((line) => [line.split("\t")[1], line]));
  const entry = /^(\d+) (\w+) ([0-9a-f]+) +(\d+|-)\t/.exec(lines.get(PIPELINE_FILE) ?? "");
  if (entry === null) {
    return {
      kind: "wrong",
      message: `this commit has no ${PIPELINE_FILE}`,
      hint: "begin with one line: `script: make test`",
    };
  }
  const [, mode, type, blob = "", size] = entry;
  if (type !== "blob" || mode === SYMBOLIC_LINK) {
    return { kind: "wrong", message: `${PIPELINE_FILE} is not a regular file`, hint: "commit the file itself" };
  }
  if (Number(size) > FILE_LIMIT_BYTES) {
    return {
      kind: "wrong",
      message: `${PIPELINE_FILE} has ${size} bytes, and ${FILE_LIMIT_BYTES} is the most`,
      hint: "move long scripts into files of the repository",
    };
  }
  return {
    kind: "text",
    text: await mirror.run(["cat-file", "blob", blob], signal),
    template: templateKind(lines.get(TEMPLATE_FILE)),
  };
}

function templateKind(line: string | undefined): Tree["template"] {
  if (line === undefined) return "none";
  return /^100\d+ blob /.test(line) ? "file" : "other";
}

/** What is asked for of the commit's files costs a git process, and only who wants a template made needs them. */
async function treeOf(
  mirror: Mirror,
  object: string,
  { text, template }: Extract<FileRead, { kind: "text" }>,
  signal: AbortSignal,
): Promise<Tree> {
  if (template !== "none" || !/\bpacker\b/.test(text)) return { template, files: [] };
  const listed = await mirror.run(["ls-tree", "-r", "-z", "--name-only", "--full-tree", object], signal);
  return { template, files: listed.split("\0").filter((path) => path !== "") };
}

/**
 * Paths that the push changed: against what the branch was before, else against where it left the default branch.
 * null when that cannot be told, which filters take for "may be anything".
 */
async function changesOf(
  mirror: Mirror,
  address: Address,
  push: Push,
  ref: string,
  object: string,
  signal: AbortSignal,
): Promise<readonly string[] | null> {
  if (!ref.startsWith("refs/heads/")) return null;
  try {
    if (push.before !== null && !push.created && !push.forced && (await mirror.has(push.before, signal))) {
      return await diff(mirror, [push.before, object], signal);
    }
    const base = push.defaultBranch === null ? null : `refs/heads/${push.defaultBranch}`;
    if (base === null || base === ref) return null;
    return await diff(mirror, ["--merge-base", await mirror.follow(base, address, signal), object], signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof GitFailure || (error instanceof ToroidError && dispositionOf(error) !== "bug")) return null;
    throw error;
  }
}

async function diff(mirror: Mirror, between: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
  const listed = await mirror.run(["diff-tree", "-r", "-z", "--no-renames", "--name-only", ...between], signal);
  return listed.split("\0").filter((path) => path !== "");
}
