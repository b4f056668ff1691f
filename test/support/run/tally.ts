import { relative } from "node:path";
import type { TestEvent } from "node:test/reporters";

const COUNTERS = ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo"] as const;
type Counter = (typeof COUNTERS)[number];

/** What came out of all groups together, from the runner's own events. */
export class Tally {
  readonly #root: string;
  readonly #counts = new Map<Counter, number>();
  readonly #skips: string[] = [];
  readonly #empty: string[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  /** Takes an event in; false when it is a group's own summary, which the common one replaces. */
  add(event: TestEvent): boolean {
    if (event.type === "test:summary") return event.data.file !== undefined;
    if (event.type === "test:diagnostic" && event.data.file === undefined) return !this.#addCounter(event.data.message);
    if (event.type === "test:pass") this.#addPass(event.data);
    return true;
  }

  /** Files that ended well and in which not one test ran: a typo at best. */
  get empty(): readonly string[] {
    return this.#empty;
  }

  /** @param narrowed by title, so that files without a test are no mistake. */
  hasFailed(narrowed: boolean): boolean {
    if (this.#count("fail") + this.#count("cancelled") > 0) return true;
    return this.#count("tests") === this.#empty.length || (!narrowed && this.#empty.length > 0);
  }

  /** The closing lines, as node's own runner prints them. */
  summary(durationMs: number): string {
    const lines = COUNTERS.map((name) => `# ${name} ${this.#count(name)}`);
    return [...lines, `# duration_ms ${Math.round(durationMs)}`].join("\n");
  }

  /** Each skip with its reason, and how many. */
  skips(): string {
    const noun = this.#skips.length === 1 ? "test was" : "tests were";
    const title = `${this.#skips.length} ${noun} skipped${this.#skips.length === 0 ? "" : ":"}`;
    return [title, ...this.#skips.map((line) => `  ${line}`)].join("\n");
  }

  #addPass({ name, file = "", skip }: { name: string; file?: string; skip?: string | boolean }): void {
    const path = relative(this.#root, file);
    if (skip !== undefined)
      this.#skips.push(`${path}: ${name}: ${typeof skip === "string" ? skip : "no reason given"}`);
    // The runner counts a file that registers no test as one test, called like the file.
    else if (name === file) this.#empty.push(path);
  }

  #addCounter(message: string): boolean {
    const [name, value] = message.split(" ");
    if (name === "duration_ms") return true;
    const counter = COUNTERS.find((candidate) => candidate === name);
    if (counter === undefined) return false;
    this.#counts.set(counter, this.#count(counter) + Number(value));
    return true;
  }

  #count(name: Counter): number {
    return this.#counts.get(name) ?? 0;
  }
}
