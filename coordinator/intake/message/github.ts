import { z } from "zod";
import { isRepositoryName } from "../../../protocol/ids.ts";
import { commitName, type Push } from "../../../protocol/work.ts";
import { pushKey } from "./key.ts";
import { isRefName, isRemote } from "./names.ts";
import type { Json } from "./unwrap.ts";
import { type Headers, type Intake, refused } from "./vocabulary.ts";
import { whatIsWrong } from "./wrong.ts";

/** A push travels in many messages, so a commit message of a megabyte may not travel in each. */
const MESSAGE_CHARACTERS = 16 * 1024;
const NAME_CHARACTERS = 256;

const person = z.object({ name: z.string().nullish(), username: z.string().nullish() }).nullish();

/** What is read of GitHub's push payload; it has a hundred fields more. */
const githubPush = z.object({
  ref: z.string().refine(isRefName, "not the name of a ref"),
  before: commitName,
  after: commitName,
  created: z.boolean().default(false),
  deleted: z.boolean().default(false),
  forced: z.boolean().default(false),
  head_commit: z.object({ id: commitName, message: z.string().default(""), author: person }).nullish(),
  pusher: person,
  repository: z.object({
    id: z.number().int().nullish(),
    full_name: z.string().refine(isRepositoryName, "not an owner/name"),
    clone_url: z.string().refine(isRemote, "not a URL"),
    ssh_url: z.string().refine(isRemote, "not a URL").nullish(),
    default_branch: z.string().nullish(),
    master_branch: z.string().nullish(),
  }),
});
type GithubPush = z.infer<typeof githubPush>;

/** Reads an event of GitHub. One whose name was lost on the way is known by its fields. */
export function readEvent(payload: Json, headers: Headers): Intake {
  const event = headers.event ?? guessEvent(payload);
  if (event === null)
    return refused("the body is neither a push nor a request: it has no `ref` and `repository`, and no `toroid`");
  if (event !== "push")
    return { kind: "ignored", reason: `the event ${JSON.stringify(event.slice(0, 64))} builds nothing` };
  const parsed = githubPush.safeParse(payload);
  if (!parsed.success) return refused(whatIsWrong("push", parsed.error));
  return whatToBuild(parsed.data, headers);
}

function whatToBuild(pushed: GithubPush, headers: Headers): Intake {
  const { ref, repository } = pushed;
  const what = ref.startsWith("refs/heads/") ? "branch" : ref.startsWith("refs/tags/") ? "tag" : null;
  if (what === null) return { kind: "ignored", reason: `${ref} is neither a branch nor a tag` };
  if (pushed.deleted || isZeros(pushed.after)) return { kind: "ignored", reason: `a deleted ${what} builds nothing` };
  const head = pushed.head_commit;
  const push: Push = {
    repository: repository.full_name,
    repositoryId: repository.id ?? null,
    remote: { https: repository.clone_url, ssh: repository.ssh_url ?? null },
    ref,
    before: isZeros(pushed.before) ? null : pushed.before,
    // Of an annotated tag, `after` is the tag object.
    commit: head?.id ?? pushed.after,
    created: pushed.created,
    forced: pushed.forced,
    defaultBranch: repository.default_branch ?? repository.master_branch ?? null,
    message: (head?.message ?? "").slice(0, MESSAGE_CHARACTERS),
    author: authorOf(pushed).slice(0, NAME_CHARACTERS),
    deliveryId: headers.delivery?.slice(0, NAME_CHARACTERS) ?? null,
    people: peopleOf(pushed),
    params: {},
  };
  const identity = { ...pushed, repository: repository.id ?? repository.full_name };
  return { kind: "push", key: pushKey(headers, identity), push };
}

function authorOf({ head_commit, pusher }: GithubPush): string {
  return head_commit?.author?.name ?? head_commit?.author?.username ?? pusher?.name ?? pusher?.username ?? "";
}

/** Who wrote the head commit and who pushed it, by every name that is given, each once. */
function peopleOf({ head_commit, pusher }: GithubPush): string[] {
  const names = [head_commit?.author, pusher].flatMap((one) => [one?.name, one?.username]);
  const given = names.flatMap((name) => (name === undefined || name === null || name === "" ? [] : [name]));
  return [...new Set(given.map((name) => name.slice(0, NAME_CHARACTERS)))];
}

function guessEvent(payload: Json): string | null {
  if ("zen" in payload && "hook_id" in payload) return "ping";
  if (!("repository" in payload)) return null;
  if (!("ref" in payload)) return "sender" in payload ? "unknown" : null;
  if ("ref_type" in payload) return "create or delete";
  return "workflow" in payload ? "workflow_dispatch" : "push";
}

function isZeros(commit: string): boolean {
  return /^0+$/.test(commit);
}
