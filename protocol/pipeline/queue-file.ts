import { isRepositoryName } from "../ids.ts";
import { type LineProblem, linesOf, MAX_LINE_PROBLEMS } from "./foreign-lines.ts";
import { type Words, wordsOf } from "./shell-words.ts";
import { clip, environmentProblem, variableProblem } from "./text-rules.ts";

/** One line of `TOROID_QUEUE`. */
export type QueueRequest =
  /** An environment of this build. */
  | { readonly kind: "environment"; readonly environment: string; readonly params: Params }
  /** A build of another repository, if that one accepts us; `ref` as written: a branch, a tag or a whole ref. */
  | { readonly kind: "repository"; readonly repository: string; readonly ref: string; readonly params: Params };
type Params = Readonly<Record<string, string>>;

/** What a stage wrote to `TOROID_QUEUE`. */
export type Queue =
  | { readonly kind: "requests"; readonly requests: readonly QueueRequest[] }
  | { readonly kind: "invalid"; readonly problems: readonly LineProblem[] };

export const MAX_QUEUE_FILE_BYTES = 64 * 1024;
const MAX_REQUESTS = 100;
const MAX_LINE_CHARS = 8_192;

/**
 * One request a line: `prod REGION=eu-west-1` or `acme/web@main NOTE='two words'`, quoted as in a shell; nothing is
 * expanded. Empty lines and those that begin with `#` mean nothing. 64 KiB and 100 requests at most. Never throws.
 */
export function parseQueueFile(bytes: Uint8Array): Queue {
  const lines = linesOf(bytes, MAX_QUEUE_FILE_BYTES);
  if ("problem" in lines) return { kind: "invalid", problems: [lines.problem] };
  const requests: QueueRequest[] = [];
  const problems: LineProblem[] = [];
  for (const [i, text] of lines.entries()) {
    if (problems.length === MAX_LINE_PROBLEMS) break;
    if (/^\s*(?:#|$)/.test(text)) continue;
    const read = text.length > MAX_LINE_CHARS ? "the line has more than 8,192 characters" : requestOf(wordsOf(text));
    if (typeof read === "string") problems.push({ line: i + 1, message: read });
    else if (requests.push(read) > MAX_REQUESTS) {
      problems.push({ line: i + 1, message: `more than ${MAX_REQUESTS} requests` });
      break;
    }
  }
  return problems.length > 0 ? { kind: "invalid", problems } : { kind: "requests", requests };
}

function requestOf(read: Words): QueueRequest | string {
  if ("problem" in read) return read.problem;
  const [target = "", ...rest] = read.words;
  const params = paramsOf(rest);
  if (typeof params === "string") return params;
  if (!/[/@]/.test(target)) return environmentProblem(target) ?? { kind: "environment", environment: target, params };
  const at = target.indexOf("@");
  if (at < 0) return `expected \`${clip(target)}@\` and a branch, tag or ref`;
  const repository = target.slice(0, at);
  const ref = target.slice(at + 1);
  if (!isRepositoryName(repository) || repository.startsWith("-"))
    return `\`${clip(repository)}\` is no repository: expected \`owner/name\``;
  if (!isRef(ref)) return `\`${clip(ref)}\` is no branch, tag or ref`;
  return { kind: "repository", repository, ref, params };
}

function paramsOf(words: readonly string[]): Params | string {
  const params = new Map<string, string>();
  for (const word of words) {
    const equals = word.indexOf("=");
    if (equals < 0) return `expected \`NAME=value\`, found \`${clip(word)}\``;
    const name = word.slice(0, equals);
    const problem = variableProblem(name);
    if (problem !== null) return problem;
    if (params.has(name)) return `\`${clip(name)}\` is there twice`;
    params.set(name, word.slice(equals + 1));
  }
  return Object.fromEntries(params);
}

/** What git accepts as a name of a ref, and nothing that a command could take for an option. */
function isRef(text: string): boolean {
  if (text === "" || text === "@" || text.length > 255) return false;
  // oxlint-disable-next-line no-control-regex -- git forbids control characters in refs
  if (/[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\/|^[-/]|[/.]$/.test(text)) return false;
  return !text.split("/").some((part) => part.startsWith(".") || part.endsWith(".lock"));
}
