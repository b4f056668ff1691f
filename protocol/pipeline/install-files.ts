/** What `install` needs of a checkout, as far as that can be told without running it. Pure. */
import { clip } from "./text-rules.ts";

/** What package managers read. */
const READ_BY_PACKAGE_MANAGERS =
  /^(Gemfile(\.lock)?|[^/]+\.gemspec|\.ruby-version|\.tool-versions|\.bundle\/config|package(-lock)?\.json|npm-shrinkwrap\.json|\.npmrc|\.nvmrc|yarn\.lock|\.yarnrc(\.yml)?|pnpm-(lock|workspace)\.yaml|bun\.lockb?|go\.(mod|sum|work)|Cargo\.(toml|lock)|rust-toolchain(\.toml)?|pyproject\.toml|poetry\.lock|uv\.lock|Pipfile(\.lock)?|requirements[^/]*\.txt|constraints[^/]*\.txt|setup\.(py|cfg)|\.python-version|composer\.(json|lock)|mix\.(exs|lock)|pom\.xml|gradle\.properties|(build|settings)\.gradle(\.kts)?)$/;
/** What programs read that say nothing of it. */
const READ_BY: Readonly<Record<string, RegExp>> = {
  make: /^(GNUm|[mM])akefile$/,
  rake: /^(R|r)akefile(\.rb)?$/,
  just: /^\.?[jJ]ustfile$/,
  mvnw: /^\.mvn\//,
  gradlew: /^gradle\/wrapper\//,
};

export interface InstallFiles {
  /** Of the checkout: paths of files, directories with all that is in them, or `.` for all of it. */
  readonly files: readonly string[];
  /** Of what was asked for: not there. */
  readonly missing: readonly string[];
}

/**
 * @param given what the file says that is needed
 * @param there every file of the checkout
 */
export function installFiles(
  install: readonly string[],
  workdir: string,
  given: readonly string[],
  there: readonly string[],
): InstallFiles {
  const all = new Set(there);
  const dirs = new Set(there.flatMap(parentsOf));
  const looked = new Set([".", workdir]);
  const found = new Set<string>();
  const programs = new Set<string>();
  for (const [program = "", ...words] of install.flatMap(commandsOf)) {
    programs.add(program.slice(program.lastIndexOf("/") + 1));
    for (const word of [program, ...words]) {
      for (const path of [...looked].map((dir) => joined(dir, word)).filter((one) => one !== null)) {
        if (all.has(path)) found.add(path);
        // That a command names it does not say that it needs all that is in it.
        else if (dirs.has(path)) looked.add(path);
      }
    }
    // `pip install .`
    if (program !== "cd" && words.some((one) => /^\.\/?$/.test(one))) found.add(workdir);
  }
  const patterns = [READ_BY_PACKAGE_MANAGERS];
  for (const program of programs) {
    const pattern = Object.hasOwn(READ_BY, program) ? READ_BY[program] : undefined;
    if (pattern !== undefined) patterns.push(pattern);
  }
  for (const path of there) {
    const names = [...looked].map((dir) => nameIn(dir, path)).filter((one) => one !== null);
    if (names.some((name) => patterns.some((pattern) => pattern.test(name)))) found.add(path);
  }
  const named = given.map((path) => joined(".", path) ?? path);
  const missing = named.filter((path) => path !== "." && !all.has(path) && !dirs.has(path)).map((path) => clip(path));
  for (const path of named) found.add(path);
  return { files: withoutInner(found), missing };
}

/** The words of each command of a line, as far as that can be told without a shell. */
function commandsOf(line: string): readonly (readonly string[])[] {
  return line.split(/[;&|()\n]+/).map((command) => command.split(/[\s<>"'`=]+/).filter((word) => word !== ""));
}

/** What `path` is called from `dir`; null when it is not in there. */
function nameIn(dir: string, path: string): string | null {
  if (dir === ".") return path;
  return path.startsWith(`${dir}/`) ? path.slice(dir.length + 1) : null;
}

/** `./api/` → `api`; null for what leads out. */
function joined(dir: string, path: string): string | null {
  if (path.startsWith("/") || path.startsWith("~")) return null;
  const parts = [...dir.split("/"), ...path.split("/")].filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) return null;
  return parts.length === 0 ? "." : parts.join("/");
}

function parentsOf(path: string): readonly string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, i) => parts.slice(0, i + 1).join("/"));
}

/** What is in a directory that is there as well need not be named. */
function withoutInner(paths: ReadonlySet<string>): readonly string[] {
  if (paths.has(".")) return ["."];
  return [...paths].filter((path) => !parentsOf(path).some((dir) => paths.has(dir))).sort();
}
