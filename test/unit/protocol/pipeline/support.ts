import assert from "node:assert/strict";
import { frames } from "../../../../protocol/pipeline/frame.ts";
import { lint, type Plan, planOf, type Source, type StagePlan } from "../../../../protocol/pipeline/plan.ts";

/** A push to the default branch that changed one file. */
export const PUSH: Source = {
  repository: "acme/api",
  ref: "refs/heads/main",
  branch: "main",
  tag: null,
  commit: "1234567890123456789012345678901234567890",
  message: "Make it work",
  changedPaths: ["lib/a.ts"],
  defaultBranch: "main",
  tree: { template: "none", files: [] },
};

export function onBranch(branch: string, more: Partial<Source> = {}): Source {
  return { ...PUSH, branch, ref: `refs/heads/${branch}`, ...more };
}

export function onTag(tag: string, more: Partial<Source> = {}): Source {
  return { ...PUSH, branch: null, tag, ref: `refs/tags/${tag}`, ...more };
}

/** The plan of a file that has one; the frames of its problems in the failure otherwise. */
export function planned(text: string, source: Source = PUSH): Plan {
  const made = planOf(".toroid.yml", text, source);
  assert.equal(made.kind, "plan", made.kind === "invalid" ? frames(made.problems, text) : JSON.stringify(made));
  assert.ok(made.kind === "plan");
  return made.plan;
}

export function stageOf(plan: Plan, name: string): StagePlan {
  const stage = plan.stages.find((one) => one.name === name);
  assert.ok(stage, `no stage ${name}`);
  return stage;
}

/** What is wrong with `text`, as people read it. */
export function framed(text: string): string {
  return frames(lint(".toroid.yml", text), text);
}
