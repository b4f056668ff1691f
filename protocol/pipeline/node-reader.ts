import { isAlias, isMap, isScalar, isSeq, type Node, type Pair, Scalar } from "yaml";
import type { Finding } from "./finding.ts";
import { MAX_PROBLEMS, type Range } from "./places.ts";
import { type Path, pathId } from "./problem.ts";
import { clip } from "./text-rules.ts";
import type { Value } from "./value.ts";

/** With every alias written out. */
const MAX_VALUES = 10_000;
const MAX_CHARS = 1_048_576;
const MAX_DEPTH = 32;

/** Turns nodes into plain data; every path is read once, so what an alias stands for is read again where it is used. */
export class NodeReader {
  readonly places = new Map<string, { key: Range | null; value: Range }>();
  readonly changed = new Map<string, { path: Path; written: string }>();
  readonly findings: (Finding & { readonly at: Range })[] = [];
  readonly #targets: ReadonlyMap<Node, Node | null>;
  #values = 0;
  #chars = 0;
  #stopped = false;

  constructor(root: Node) {
    this.#targets = aliasTargets(root);
  }

  read(node: unknown, path: Path, key: Range | null): Value | undefined {
    if (this.#stopped) return undefined;
    const target = this.#resolve(node, path);
    if (target === undefined) return undefined;
    const range = rangeOf(target) ?? key ?? [0, 1];
    this.places.set(pathId(path), { key, value: range });
    if (++this.#values > MAX_VALUES)
      return this.#stop(
        path,
        range,
        `the file holds more than ${MAX_VALUES.toLocaleString("en")} values, aliases written out`,
      );
    if (path.length > MAX_DEPTH) return this.#stop(path, range, `nested more than ${MAX_DEPTH} levels deep`);
    if (isMap(target)) return this.#mapping(target.items, path);
    if (isSeq(target)) {
      const list = target.items.map((item, i) => this.read(item, [...path, i], null));
      return list.filter((item) => item !== undefined);
    }
    return isScalar(target) ? this.#scalar(target, path, range) : null;
  }

  #scalar(scalar: Scalar, path: Path, range: Range): Value | undefined {
    const { value, source } = scalar;
    if (typeof value === "string") {
      this.#chars += value.length;
      if (this.#chars > MAX_CHARS)
        return this.#stop(path, range, "the file holds more than 1 MiB of text, aliases written out");
      return value;
    }
    if (typeof value !== "number" && typeof value !== "boolean") return null;
    if (source !== undefined && source !== String(value)) this.changed.set(pathId(path), { path, written: source });
    return value;
  }

  #mapping(items: readonly Pair[], path: Path): Value | undefined {
    const mapping: Record<string, Value> = Object.create(null);
    const merged: unknown[] = [];
    const seen = new Map<string, Range>();
    for (const { key, value } of items) {
      const at = rangeOf(key) ?? [0, 1];
      const name = nameOf(key);
      if (isScalar(key) && name === "<<" && key.type === Scalar.PLAIN) {
        merged.push(value);
        continue;
      }
      const keyPath = [...path, name];
      const before = seen.get(name);
      if (name === "__proto__") this.#tell(keyPath, at, "`__proto__` cannot be a key");
      else if (before !== undefined)
        this.#tell(
          keyPath,
          at,
          `the key \`${clip(name)}\` is there twice`,
          "keep one of the two: YAML would silently drop the other",
        );
      else {
        seen.set(name, at);
        const child = this.read(value, keyPath, at);
        if (child !== undefined) mapping[name] = child;
      }
    }
    for (const source of merged) this.#merge(source, mapping, path);
    return mapping;
  }

  /** `<<: *defaults` or `<<: [*a, *b]`: adds the keys that are not there yet. */
  #merge(source: unknown, into: Record<string, Value>, path: Path): void {
    const target = this.#resolve(source, path);
    if (target === undefined) return;
    if (isSeq(target)) {
      for (const item of target.items) {
        if (++this.#values > MAX_VALUES) return;
        this.#mergeOne(this.#resolve(item, path), into, path);
      }
    } else this.#mergeOne(target, into, path);
  }

  #mergeOne(target: Node | undefined, into: Record<string, Value>, path: Path): void {
    if (target === undefined) return;
    if (!isMap(target)) {
      this.#tell(path, rangeOf(target) ?? [0, 1], "`<<` merges mappings only");
      return;
    }
    for (const { key, value } of target.items) {
      const name = nameOf(key);
      if (name === "<<") this.#tell(path, rangeOf(key) ?? [0, 1], "a merged mapping cannot merge another");
      else if (name === "__proto__" || Object.hasOwn(into, name)) continue;
      else {
        const child = this.read(value, [...path, name], rangeOf(key) ?? [0, 1]);
        if (child !== undefined) into[name] = child;
      }
    }
  }

  /** What an alias stands for; other nodes as they are. Nothing at all (`a:`) is a null. */
  #resolve(node: unknown, path: Path): Node | undefined {
    if (isAlias(node)) {
      const target = this.#targets.get(node);
      if (target !== undefined && target !== null) return target;
      this.#tell(path, rangeOf(node) ?? [0, 1], `no anchor \`&${clip(node.source)}\` stands before this alias`);
      return undefined;
    }
    return isScalar(node) || isMap(node) || isSeq(node) ? node : new Scalar(null);
  }

  #tell(path: Path, at: Range, message: string, hint: string | null = null): void {
    if (this.findings.length < MAX_PROBLEMS)
      this.findings.push({ kind: "invalid", path, on: "value", message, hint, at });
  }

  #stop(path: Path, at: Range, message: string): undefined {
    this.#stopped = true;
    this.#tell(path, at, message);
  }
}

/** Each alias with the node that bore its anchor last before it, or null. Iterative: the parser bounds no depth. */
function aliasTargets(root: Node): ReadonlyMap<Node, Node | null> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Node, Node | null>();
  const open: unknown[] = [root];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (isAlias(node)) {
      targets.set(node, anchors.get(node.source) ?? null);
      continue;
    }
    if (isScalar(node) || isMap(node) || isSeq(node)) {
      if (node.anchor !== undefined && node.anchor !== "") anchors.set(node.anchor, node);
    }
    if (isMap(node)) for (const { key, value } of node.items.toReversed()) open.push(value ?? [], key ?? []);
    else if (isSeq(node)) for (const item of node.items.toReversed()) open.push(item ?? []);
  }
  return targets;
}

/** Keys are text already (`stringKeys`); one that is left out is empty. */
function nameOf(key: unknown): string {
  return isScalar(key) && typeof key.value === "string" ? key.value : "";
}

function rangeOf(node: unknown): Range | null {
  const range = isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range : null;
  return range === null || range === undefined ? null : [range[0], range[1]];
}
