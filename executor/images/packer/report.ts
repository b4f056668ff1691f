/** What Packer says with `-machine-readable`: lines `time,target,type,data…`. Pure. */

export type Said =
  /** For people. */
  | { readonly kind: "text"; readonly text: string }
  /** The same, and something is wrong; what a provisioner prints to its standard error is no different. */
  | { readonly kind: "error"; readonly text: string }
  | { readonly kind: "artifacts"; readonly count: number }
  /** What a builder made, as it names it: an AMI by region, `us-east-1:ami-…`. */
  | { readonly kind: "made"; readonly id: string }
  /** Why a build failed. */
  | { readonly kind: "failure"; readonly text: string };

/** What a line says; null: nothing that anybody needs. A line in no such form is somebody's output. */
export function saidBy(line: string): Said | null {
  const [time = "", target, type, ...data] = line.split(",");
  if (target === undefined || type === undefined || !/^\d+$/.test(time)) return { kind: "text", text: line };
  const [first = "", second = ""] = data.map(plain);
  switch (type) {
    case "ui":
      return first === "error" ? { kind: "error", text: second } : { kind: "text", text: second };
    case "artifact-count":
      return { kind: "artifacts", count: Number(first) };
    case "artifact":
      return second === "id" ? { kind: "made", id: plain(data.slice(2).join(",")) } : null;
    case "error":
      return { kind: "failure", text: first };
    default:
      return null;
  }
}

function plain(data: string): string {
  return data
    .replaceAll("%!(PACKER_COMMA)", ",")
    .replaceAll(/\\([nr])/g, (_, letter: string) => (letter === "n" ? "\n" : "\r"));
}

/** Names of the only build, which say nothing. */
const CONTAINER = "(?:[\\w.-]*null\\.toroid|toroid)";
/** What Packer says of a builder that makes nothing itself, of how it reaches the image, and of each of our tags. */
const EMPTY = [
  /^\s*(?:[\w.-]+: )?(?:==> )?(?:[\w.-]+: )?Adding tag: "toroid:/,
  /Did not export anything|artifacts of successful builds are|but no artifacts were created|==> Wait completed/,
  /^==> \S+: (Using SSH communicator|Waiting for SSH|Connected to SSH)/i,
];

export class PackerReport {
  readonly #names: Readonly<Record<string, string>>;
  readonly #target: RegExp;
  readonly #made: string[] = [];
  #artifacts = 0;
  #failure: string | null = null;
  #complaint: string | null = null;
  #hasTimeout = false;

  /**
   * @param names of files as Packer knows them, with what people know them by
   * @param target the one build that is run, as a pattern; unless given, that of a container
   */
  constructor(names: Readonly<Record<string, string>>, target = CONTAINER) {
    this.#names = names;
    this.#target = new RegExp(`^(==> |--> |\\s*)${target}:(?: |$)`);
  }

  /** Takes a line; answers what people are to read of it, without its end, or null. */
  take(line: string): string | null {
    const said = saidBy(line);
    // What it says when the time is up does not always come out before its end.
    if (/Setting a \S+ timeout for the next provisioner/.test(line)) this.#hasTimeout = true;
    switch (said?.kind) {
      case undefined:
        return null;
      case "artifacts":
        this.#artifacts += said.count;
        return null;
      case "made":
        this.#made.push(said.id);
        return null;
      case "failure":
        this.#failure ??= this.#named(said.text);
        return null;
      case "error":
        this.#complaint ??= complaintOf(this.#named(said.text));
        return this.#shown(said.text, true);
      case "text":
        return EMPTY.some((one) => one.test(said.text)) ? null : this.#shown(said.text, false);
    }
  }

  /** Builds that came to their end. */
  get artifacts(): number {
    return this.#artifacts;
  }

  /** What builders say that they made. */
  get made(): readonly string[] {
    return this.#made;
  }

  /** In Packer's own words, or null when it said none. */
  get failure(): string | null {
    if (this.#hasTimeout && this.#failure === "context canceled") return "a provisioner took longer than its `timeout`";
    return this.#failure ?? this.#complaint;
  }

  #shown(text: string, isError: boolean): string {
    // What goes to a standard error is a provisioner's own line.
    const own = (_: string, arrow: string): string => (isError || arrow.trim() === "" ? "" : arrow);
    const shown = text.replace(/^\n+/, "").replace(/\s+$/, "").replace(this.#target, own);
    return isError ? this.#named(shown) : shown;
  }

  #named(text: string): string {
    return Object.entries(this.#names).reduce((all, [from, to]) => all.replaceAll(from, to), text);
  }
}

function inOneLine(text: string): string {
  return text.trim().replaceAll(/\s+/g, " ");
}

/** The first problem of a template as one sentence, with its place; null for what is no such problem. */
function complaintOf(text: string): string | null {
  const [, unread] = /^Failed to parse [^]*?\n\s*\* ([^\n]+)/.exec(text) ?? [];
  if (unread !== undefined) return `the template cannot be read: ${unread.slice(0, 500)}`;
  const [, what = "", rest = ""] = /^\s*Error: ([^\n]+)([^]*)$/.exec(text) ?? [];
  if (what === "") return null;
  const [, file, line] = /\bon (\S+) line (\d+)/.exec(rest) ?? [];
  const items = [...rest.matchAll(/^\* ([^]+?)(?=\n\n|\n\*|$(?![^]))/gm)].map(([, item = ""]) => inOneLine(item));
  const more = file === undefined ? inOneLine(rest.trim().split("\n\n")[0] ?? "").replace(/:$/, "") : "";
  const said = [what, more, items.join(", ")].filter((part) => part !== "").join(": ");
  return `${said.slice(0, 500)}${file === undefined ? "" : ` (${file}:${line})`}`;
}
