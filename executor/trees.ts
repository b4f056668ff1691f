/** Removing what builds made: any depth, any names, any modes. */
import { execa } from "execa";
import { ToroidError } from "../protocol/errors.ts";

/**
 * Removes `path` and all in it. By rm(1) and not by Node, because it walks by descriptors: a build can nest directories
 * deeper than any path can name.
 */
export async function removeTree(path: string): Promise<void> {
  const { exitCode, stderr } = await execa("rm", ["-rf", "--one-file-system", "--", path], {
    reject: false,
    stdin: "ignore",
  });
  if (exitCode !== 0) throw new ToroidError("TOR_INTERNAL", `cannot remove ${path}: ${stderr.slice(0, 500)}`);
}
