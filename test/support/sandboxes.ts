import { readdir, readFile } from "node:fs/promises";

/** First processes of the sandboxes that run for the process `ancestor`, directly or by a `serve` of its. */
export async function sandboxesOf(ancestor: number): Promise<readonly number[]> {
  const parents = new Map<number, number>();
  const first: number[] = [];
  for (const name of await readdir("/proc")) {
    const status = /^\d+$/.test(name) ? await readFile(`/proc/${name}/status`, "utf8").catch(() => "") : "";
    const parent = /^PPid:\t(\d+)$/m.exec(status)?.[1];
    if (parent === undefined) continue;
    parents.set(Number(name), Number(parent));
    // Its pid in each namespace: on the host, and 1 in one of its own.
    if (/^NSpid:\t\d+(\t\d+)*\t1$/m.test(status)) first.push(Number(name));
  }
  const isBelow = (pid: number): boolean => {
    for (let at = parents.get(pid); at !== undefined && at > 1; at = parents.get(at)) if (at === ancestor) return true;
    return false;
  };
  return first.filter(isBelow);
}
