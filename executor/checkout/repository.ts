/** A `.git` directory written by hand: what `git clone --shared` makes, without its processes. */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface NewRepository {
  readonly gitDir: string;
  readonly commit: string;
  /** What a script may fetch from; null for nowhere. */
  readonly url: string | null;
  /** Where git finds the objects while it checks out. */
  readonly objects: string;
  /** The boundary file of a shallow repository that they are of. */
  readonly shallow: string;
}

export async function writeRepository(r: NewRepository): Promise<void> {
  const { gitDir } = r;
  await mkdir(join(gitDir, "objects", "info"), { recursive: true });
  await Promise.all([
    mkdir(join(gitDir, "objects", "pack")),
    mkdir(join(gitDir, "refs", "heads"), { recursive: true }),
    writeFile(join(gitDir, "HEAD"), `${r.commit}\n`),
    writeFile(join(gitDir, "config"), configText(r)),
    pointObjects(gitDir, r.objects),
    copyFile(r.shallow, join(gitDir, "shallow")).catch(() => undefined),
  ]);
}

/** Names where the borrowed objects are found. */
export async function pointObjects(gitDir: string, objects: string): Promise<void> {
  await writeFile(join(gitDir, "objects", "info", "alternates"), `${objects}\n`);
}

/** Tags and branches as a clone would have them, so that `git describe` works; none of Toroid's own refs. */
export async function writeRefs(gitDir: string, listed: string): Promise<void> {
  const kept = listed.split("\n").filter((line) => line !== "" && !line.includes(" refs/toroid/"));
  await writeFile(join(gitDir, "packed-refs"), `${["# pack-refs with: sorted ", ...kept].join("\n")}\n`);
}

function configText({ url, commit }: NewRepository): string {
  const sha256 = commit.length === 64;
  const lines = ["[core]", `\trepositoryformatversion = ${sha256 ? 1 : 0}`, "\tbare = false"];
  if (sha256) lines.push("[extensions]", "\tobjectformat = sha256");
  if (url !== null) {
    // Without the user or password that the executor may have.
    const bare = url.replace(/^([a-z]+:\/\/)[^/@]*@/, "$1");
    lines.push('[remote "origin"]', `\turl = ${configValue(bare)}`, "\tfetch = +refs/heads/*:refs/remotes/origin/*");
  }
  return `${lines.join("\n")}\n`;
}

/** Any text as one value of a git configuration file. */
export function configValue(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}
