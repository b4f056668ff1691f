/** What an AMI is known by: everything that it is baked of, so that the same is not baked twice. Pure. */
import { createHash } from "node:crypto";
import type { StagePlan } from "../../protocol/pipeline/plan.ts";

/** Raised when the same content would be baked into another AMI. */
const GENERATION = 1;

export interface Ingredients {
  readonly stage: StagePlan;
  /** Of the commit. */
  readonly tree: string;
  /** Of the root file systems that it ran on, the upper ones first. */
  readonly images: readonly string[];
  readonly params: Readonly<Record<string, string>>;
  /** The template's text, and digest of the files that it names; null: ours alone. */
  readonly template: { readonly path: string; readonly text: string; readonly files: string } | null;
  readonly region: string;
  /** What the operator says of instances. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

export function bakeKey({ stage, tree, images, params, template, region, attributes }: Ingredients): string {
  const { phases, entrypoint, workdir, env, ami } = stage;
  // What is asked of the AMI once it is there is another matter, and so is asking for it anew.
  const said = ami === null ? null : { ...ami, regions: [], share: [], rebake: false };
  const { install, script } = phases;
  const content = {
    stage: { install, script, entrypoint, workdir, env, said },
    tree,
    images,
    params,
    template,
    region,
  };
  const hash = createHash("sha256").update(JSON.stringify([GENERATION, sorted({ ...content, attributes })]));
  return `sha256:${hash.digest("hex")}`;
}

/** The same whatever the order of names. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([name, one]) => [name, sorted(one)]);
}
