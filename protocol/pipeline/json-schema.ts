import { z } from "zod";
import type { Path } from "./problem.ts";
import { schema } from "./schema.ts";

/** The part of JSON Schema that this file walks. */
interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly additionalProperties?: Node | boolean;
  readonly items?: Node;
  readonly anyOf?: readonly Node[];
}

/** The text of `toroid.schema.json`, for editors. */
export function jsonSchemaText(): string {
  return `${JSON.stringify(toJsonSchema(), null, 2)}\n`;
}

/** The keys that may stand in the mapping at `path`; empty when there is none or when they are free. */
export function keysAt(path: Path): readonly string[] {
  let nodes = alternatives(toJsonSchema());
  for (const part of path) nodes = nodes.flatMap((node) => childrenAt(node, part)).flatMap(alternatives);
  return [...new Set(nodes.flatMap((node) => Object.keys(node.properties ?? {})))];
}

function toJsonSchema(): object {
  return z.toJSONSchema(schema, { target: "draft-7", io: "input" });
}

function alternatives(node: Node): readonly Node[] {
  return node.anyOf === undefined ? [node] : node.anyOf.flatMap(alternatives);
}

function childrenAt(node: Node, part: string | number): readonly Node[] {
  if (typeof part === "number") return node.items === undefined ? [] : [node.items];
  if (node.properties !== undefined && Object.hasOwn(node.properties, part)) {
    const child = node.properties[part];
    return child === undefined ? [] : [child];
  }
  return typeof node.additionalProperties === "object" ? [node.additionalProperties] : [];
}
