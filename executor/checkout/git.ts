/** The one way to start git: simple-git with everything that a repository or an address could turn against us off. */
import { GitError, GitPluginError, type SimpleGit, simpleGit } from "simple-git";
import { sentenceOf } from "../../protocol/errors.ts";
import type { GitConfig } from "../config.ts";

export interface GitOptions {
  /** An existing directory. */
  readonly cwd: string;
  /**
   * Named rather than looked for, so that a bare repository inside a checkout is never taken for ours. Left out only
   * for a person's own working tree.
   */
  readonly gitDir?: string;
  readonly workTree?: string;
  readonly signal: AbortSignal;
  /** Protocols that may be used, `:`-separated; none when left out. */
  readonly protocols?: string;
}

/** What git said when it refused. */
export class GitFailure extends Error {
  readonly stderr: string;

  constructor(stderr: string, options?: ErrorOptions) {
    super(stderr.trim().split("\n").at(-1) ?? "git failed", options);
    this.name = "GitFailure";
    this.stderr = stderr;
  }
}

/** Never obeyed, whatever the repository or the mirror says; the last word on each is on the command line. */
const HARDENED = [
  "core.hooksPath=/dev/null",
  "core.fsmonitor=false",
  "core.symlinks=true",
  "core.protectHFS=true",
  "core.protectNTFS=true",
  "checkout.workers=0",
  "credential.interactive=never",
  // Packs appear whole or not at all; single objects would not, and a killed fetch could leave a commit without its tree.
  "fetch.unpackLimit=1",
  "fetch.writeCommitGraph=false",
  "gc.auto=0",
  "maintenance.auto=false",
  "http.lowSpeedLimit=1000",
  "safe.bareRepository=explicit",
  "submodule.recurse=false",
  "transfer.credentialsInUrl=allow",
] as const;

/** Variables that the operator may set for all git processes of the executor. */
const INHERITED = ["PATH", "HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] as const;
const INHERITED_LOWER = ["https_proxy", "http_proxy", "no_proxy"] as const;

/** Fails rather than asks, and gives up on a far side that does not answer. */
const SSH = "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15 -oServerAliveCountMax=4";

export class Git {
  readonly #config: GitConfig;

  constructor(config: GitConfig) {
    this.#config = config;
  }

  /**
   * Runs `git <args>` and answers what it printed.
   *
   * Commands that print nothing cost 50 ms more: simple-git waits that long for a first byte. So we let them print.
   *
   * @throws {GitFailure}
   */
  async run(args: readonly string[], o: GitOptions): Promise<string> {
    try {
      return await this.#simpleGit(o).raw([...args]);
    } catch (cause) {
      o.signal.throwIfAborted();
      if (cause instanceof GitPluginError && cause.plugin === "timeout") {
        const seconds = this.#config.silenceMs / 1_000;
        throw new GitFailure(`fatal: nothing was heard for ${seconds} s`, { cause });
      }
      throw new GitFailure(cause instanceof GitError ? cause.message : sentenceOf(cause), { cause });
    }
  }

  #simpleGit(o: GitOptions): SimpleGit {
    const variables = this.#variables(o);
    return simpleGit({
      baseDir: o.cwd,
      config: [
        ...HARDENED,
        ...(o.gitDir === undefined ? [`safe.directory=${o.cwd}`] : []),
        `http.lowSpeedTime=${Math.ceil(this.#config.silenceMs / 1_000)}`,
      ],
      abort: o.signal,
      timeout: { block: this.#config.silenceMs },
      allowEnvironment: Object.keys(variables).filter((name) => name.startsWith("GIT_")),
      // Each of these is a setting of ours above or below, none of the caller's.
      unsafe: {
        allowUnsafeHooksPath: true,
        allowUnsafeFsMonitor: true,
        allowUnsafeConfigPaths: true,
        allowUnsafeSshCommand: true,
      },
    }).env(variables);
  }

  #variables(o: GitOptions): Record<string, string> {
    const variables: Record<string, string> = {
      LC_ALL: "C",
      GIT_ALLOW_PROTOCOL: o.protocols ?? "none",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: this.#config.configFile ?? "/dev/null",
      GIT_TERMINAL_PROMPT: "0",
      GIT_SSH_COMMAND: SSH,
      GIT_OPTIONAL_LOCKS: "0",
      GIT_ATTR_NOSYSTEM: "1",
    };
    if (o.gitDir !== undefined) variables["GIT_DIR"] = o.gitDir;
    if (o.workTree !== undefined) variables["GIT_WORK_TREE"] = o.workTree;
    for (const name of [...INHERITED, ...INHERITED_LOWER]) {
      const value = process.env[name];
      if (value !== undefined) variables[name] = value;
    }
    return variables;
  }
}
