import { existsSync } from "node:fs";
import type { TestContext } from "node:test";
import { programPath } from "./programs.ts";

/** What a test stands on that a machine may lack. */
export interface Needs {
  readonly root?: true;
  /** Programs, by the name that `programPath` knows. */
  readonly program?: string | readonly string[];
  /** Paths that must exist. */
  readonly path?: string | readonly string[];
  /** The unified cgroup hierarchy, with its controllers. */
  readonly cgroup2?: true;
  /** A processor of the kind that the guest of test/vm has. */
  readonly x64?: true;
  /** Hardware virtualization for a stock kernel. */
  readonly kvm?: true;
  /** An EC2-compatible server (`Ec2Server`). */
  readonly ec2?: true;
  /** The command line of AWS, as `programPath("aws")`. */
  readonly aws?: true;
  /** A checkout that workspaces on the image `host` see, for what of it their scripts call. */
  readonly shown?: true;
  /** Leave to download whole packages, which takes a while: `TOROID_TEST_DOWNLOADS=1`, and a network that lets us. */
  readonly downloads?: true;
  /** Anything else: a sentence when it is missing, else undefined. */
  readonly other?: string | undefined;
}

/** What may be missing even where everything else must work: whole kinds of build machines lack it. */
const EXCUSED = ["cgroup2", "x64", "kvm", "downloads", "shown"] as const;

/** Of these the image `host` shows nothing, by sandbox/mask.c. */
const MASKED = ["boot", "home", "media", "mnt", "root", "run", "snap", "srv", "tmp", "var"];

/**
 * True when the test can run. Otherwise it is skipped with a sentence, and must return:
 * `if (!needs(t, { root: true, program: "packer" })) return;`
 *
 * With `TOROID_MUST_WORK=1` a skip is a failure, except of what no machine of that kind can do.
 */
export function needs(t: TestContext, what: Needs): boolean {
  const why = missing(what);
  if (why === undefined) return true;
  const isAskedFor = what.downloads !== true || mayDownload();
  if (process.env["TOROID_MUST_WORK"] === "1" && isAskedFor && missing(withoutExcused(what)) !== undefined) {
    throw new Error(`this test must work here (TOROID_MUST_WORK is set) but it ${why}`);
  }
  t.skip(why);
  return false;
}

/** The first thing that is missing, as the rest of a sentence that starts "it"; undefined when all is there. */
export function missing(what: Needs): string | undefined {
  if (what.root === true && process.getuid?.() !== 0) return "needs root";
  const programs = [...list(what.program), ...(what.ec2 ? ["moto_server"] : []), ...(what.aws ? ["aws"] : [])];
  for (const name of programs) {
    if (programPath(name) === undefined) return `needs the program ${name}`;
  }
  for (const path of list(what.path)) {
    if (!existsSync(path)) return `needs ${path}`;
  }
  if (what.cgroup2 === true && !existsSync("/sys/fs/cgroup/cgroup.controllers")) {
    return "needs the unified cgroup v2 hierarchy";
  }
  if (what.x64 === true && process.arch !== "x64") return "needs an x86-64 processor";
  if (what.kvm === true && !existsSync("/dev/kvm")) return "needs /dev/kvm";
  const [, top = ""] = import.meta.dirname.split("/");
  if (what.shown === true && MASKED.includes(top))
    return `needs a checkout that the image \`host\` shows, which it does not below /${top}`;
  if (what.downloads === true && !mayDownload()) {
    return "needs TOROID_TEST_DOWNLOADS=1, as it downloads whole packages";
  }
  return what.other;
}

function mayDownload(): boolean {
  return process.env["TOROID_TEST_DOWNLOADS"] === "1";
}

function withoutExcused(what: Needs): Needs {
  return Object.fromEntries(Object.entries(what).filter(([name]) => !EXCUSED.some((excused) => excused === name)));
}

function list(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  return typeof value === "string" ? [value] : value;
}
