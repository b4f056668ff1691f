/** The smallest system that has a shell, as entries of an archive. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Entry } from "../integration/sandbox/archives.ts";
import { Missing, unpacked } from "./debian.ts";

const COMMANDS = ["sh", "cat", "ls", "echo", "sleep", "chmod", "mkdir", "stat", "rm"];

/** Or a sentence when this machine cannot have it. */
export async function smallSystem(): Promise<readonly Entry[] | string> {
  try {
    const busybox = await readFile(join(await unpacked("busybox", ["busybox-static"]), "bin", "busybox"));
    const links = COMMANDS.map((name) => ({ name: `bin/${name}`, type: "2", link: "busybox" }));
    return [{ name: "bin/busybox", data: busybox, mode: 0o755 }, ...links];
  } catch (error) {
    if (error instanceof Missing) return `needs Debian's busybox: ${error.message}`;
    throw error;
  }
}
