import { text as readAll } from "node:stream/consumers";
import { execa } from "execa";
import { z } from "zod";
import { isRepositoryName } from "../../protocol/ids.ts";
import { EXIT, usageError } from "../exit.ts";
import { verb } from "../verb.ts";

const ZEROS = /^0+$/;

export const notify = verb({
  usage: "notify",
  summary: "put a push on the queue: for the post-receive hook of a plain git server",
  more: "Reads `<before> <after> <ref>` lines, as git gives them to the hook. The queue is TOROID_QUEUE_URL.",
  examples: ["toroid notify --repository acme/api --remote https://git.acme.example/acme/api.git"],
  flags: [
    { flags: "--repository <owner/name>", about: "what the repository is called" },
    { flags: "--remote <url>", about: "where executors can fetch it" },
  ],
  options: z.object({
    repository: z
      .string({ error: "--repository is missing: owner/name" })
      .refine(isRepositoryName, "--repository must be owner/name"),
    remote: z.string({ error: "--remote is missing: where executors can fetch the repository" }),
  }),
  async run({ environment, err }, _args, { repository, remote }) {
    const [{ configFrom }, { notifyQueue }] = await Promise.all([
      import("../../coordinator/config.ts"),
      import("../../coordinator/intake/notify.ts"),
    ]);
    const { queue } = configFrom(environment);
    if (queue === null) throw usageError("TOROID_QUEUE_URL is not set: it names the queue to tell");
    const defaultBranch = await git("symbolic-ref", "--short", "HEAD");
    const lines = (await readAll(process.stdin)).split("\n").filter((line) => line !== "");
    const notices = [];
    for (const line of lines) {
      const [before, after, ref] = line.split(" ");
      if (before === undefined || after === undefined || ref === undefined) {
        throw usageError(`expected \`<before> <after> <ref>\`, got ${JSON.stringify(line)}`);
      }
      const head = ZEROS.test(after) ? null : await headOf(after);
      notices.push({ repository, remote, change: { before, after, ref }, head, defaultBranch });
    }
    await notifyQueue(queue, notices);
    for (const { change } of notices) err(`toroid: told the queue of ${change.ref} at ${new Date().toISOString()}`);
    return EXIT.ok;
  },
});

/** The commit that a ref points to, through a tag if it is one. */
async function headOf(
  after: string,
): Promise<{ readonly commit: string; readonly author: string; readonly message: string }> {
  const [commit = after, author = "", ...message] = (await git("log", "-1", "--format=%H%n%an%n%B", after)).split("\n");
  return { commit, author, message: message.join("\n").trimEnd() };
}

/** Runs in the hook's directory, which is the repository. */
async function git(...args: readonly string[]): Promise<string> {
  return (await execa("git", args, { stdin: "ignore" })).stdout;
}
