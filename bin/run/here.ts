/** What `toroid run` and `toroid shell` have in common. */
import type { LocalHost } from "../../executor/local/furnish.ts";
import type { LocalRun, LocalShell } from "../../executor/local.ts";
import { frames } from "../../protocol/pipeline/frame.ts";
import { EXIT } from "../exit.ts";
import type { Context } from "../verb.ts";

export async function hostHere({ environment }: Context): Promise<LocalHost> {
  const { configFrom } = await import("../../executor/config.ts");
  const { sandbox, allowWeak, defaultImage, imagesDir, images, cacheDir, packer } = configFrom(environment);
  return { sandbox, allowWeak, defaultImage, imagesDir, images, cacheDir, packer };
}

/** Says why nothing of the file was begun. */
export async function sayUnplanned(
  { json, out, err }: Context,
  unplanned: Extract<LocalRun | LocalShell, { kind: "skip" | "invalid" }>,
): Promise<number> {
  if (unplanned.kind === "skip") {
    err(`nothing to run: ${unplanned.reason}`);
    return EXIT.ok;
  }
  const { problems, text } = unplanned;
  await out(json ? `${JSON.stringify({ problems })}\n` : `${frames(problems, text)}\n`);
  return EXIT.usage;
}
