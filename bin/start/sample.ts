/** A small application with every kind of stage, and the repository it is pushed to. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";

export const SAMPLE_REPOSITORY = "demo/hello";

const FILES: Readonly<Record<string, { readonly text: string; readonly executable?: true }>> = {
  ".toroid.yml": {
    text: `# What a push runs. Two environments follow a build that passed: stage, then prod.
kind: application
env: { GREETING: hello }
install: ./install
script:
  - ./test
  - ./make-page
artifact: { files: ["dist/**"] }
entrypoint: bin/deploy        # called as: bin/deploy <environment>
environments:
  stage: { next: prod }
  prod:  { timeout: 10m }
`,
  },
  install: {
    executable: true,
    text: `#!/bin/sh
echo "nothing to install for $TOROID_REPOSITORY: a real application would fetch its packages here"
`,
  },
  test: {
    executable: true,
    text: `#!/bin/sh
set -eu
test "$GREETING" = hello
echo "1 test, and it passed (as uid $(id -u) on host $(hostname), commit \${TOROID_COMMIT%????????????????????????????????})"
`,
  },
  "make-page": {
    executable: true,
    text: `#!/bin/sh
set -eu
mkdir -p dist
echo "<h1>$GREETING from $TOROID_REPOSITORY#$TOROID_BUILD</h1>" > dist/index.html
echo "page=dist/index.html" >> "$TOROID_OUTPUT"
`,
  },
  "bin/deploy": {
    executable: true,
    text: `#!/bin/sh
# Gets the environment's name and what the build made; a real one would call CloudFormation here.
set -eu
echo "deploying $TOROID_COMMIT to $1 (was: \${TOROID_PREVIOUS_COMMIT:-nothing}), fence $TOROID_FENCE"
cat "$TOROID_ARTIFACT/dist/index.html"
echo "url=https://$1.example/" >> "$TOROID_OUTPUT"
`,
  },
  "README.md": {
    text: "# hello\nA sample application. Change a file, commit, `git push origin main`, and watch it go.\n",
  },
};

export interface Sample {
  /** Where people work. */
  readonly workTree: string;
  /** Where they push to. */
  readonly remote: string;
}

/** How the hook of a plain git server reaches the queue. */
export interface HookSettings {
  /** Program and first arguments of `toroid`. */
  readonly toroid: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Makes both repositories in `dir`, or brings the hook of those that are there up to date. */
export async function makeSample(dir: string, hook: HookSettings): Promise<Sample> {
  const [remote, workTree] = [join(dir, "hello.git"), join(dir, "hello")];
  await mkdir(dir, { recursive: true });
  await git(dir, "init", "--quiet", "--bare", "--initial-branch=main", remote);
  await writeHook(remote, hook);
  await git(dir, "init", "--quiet", "--initial-branch=main", workTree);
  for (const [name, { text, executable }] of Object.entries(FILES)) {
    const path = join(workTree, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    if (executable) await chmod(path, 0o755);
  }
  await git(workTree, "config", "user.name", "Sample");
  await git(workTree, "config", "user.email", "sample@example.com");
  await git(workTree, "config", "remote.origin.url", remote);
  return { workTree, remote };
}

/** Commits something new and pushes it. @returns the commit, and when the queue was told, in ms since 1970. */
export async function pushSample({
  workTree,
}: Sample): Promise<{ readonly commit: string; readonly toldAtMs: number }> {
  await writeFile(join(workTree, "VERSION"), `${new Date().toISOString()}\n`);
  await git(workTree, "add", "--all");
  await git(workTree, "commit", "--quiet", "--message", "Say hello");
  const commit = (await git(workTree, "rev-parse", "HEAD")).trim();
  const pushed = await run(workTree, "push", "--quiet", "origin", "main");
  const told = /told the queue .* at (\S+)/.exec(pushed.stderr)?.[1];
  return { commit, toldAtMs: told === undefined ? Date.now() : Date.parse(told) };
}

/** Quoted for sh: everything between single quotes is itself. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

async function writeHook(remote: string, { toroid, environment }: HookSettings): Promise<void> {
  const assignments = Object.entries(environment).map(([name, value]) => `${name}=${quoted(value)}`);
  const command = [...toroid, "notify", "--repository", SAMPLE_REPOSITORY, "--remote", `file://${remote}`].map(quoted);
  const path = join(remote, "hooks", "post-receive");
  await mkdir(dirname(path), { recursive: true });
  await writeFile(
    path,
    `#!/bin/sh\n# Tells the queue of every push, as a forge would.\nexport ${assignments.join(" ")}\nexec ${command.join(" ")}\n`,
  );
  await chmod(path, 0o755);
}

async function git(cwd: string, ...args: readonly string[]): Promise<string> {
  return (await run(cwd, ...args)).stdout;
}

async function run(
  cwd: string,
  ...args: readonly string[]
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  // The operator's own git configuration (hooks, signing) is not what this sample is about.
  const env = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1", GIT_TERMINAL_PROMPT: "0" };
  return execa("git", args, { cwd, env, stdin: "ignore" });
}
