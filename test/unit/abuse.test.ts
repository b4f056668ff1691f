/** The table of attempts says where each is held, and leaves none out. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ATTEMPTS } from "../abuse/attempts.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const ROWS = read("test/abuse/README.md")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| attempt |"));

test("every title in the table of attempts is in its file", () => {
  const named = ROWS.flatMap((row) => [...row.matchAll(/`(test\/[^`]+)`: "([^"]+)"/g)]);
  assert.ok(named.length > 50, `${named.length} titles`);
  const gone = named.filter(
    ([, path = "", title = ""]) => !existsSync(join(ROOT, path)) || !read(path).includes(title),
  );
  assert.deepEqual(
    gone.map(([whole]) => whole),
    [],
  );
});

test("every attempt is in the table, every row names a test or an attempt, and none that is not there", () => {
  const told = ROWS.flatMap((row) => [...row.matchAll(/`([a-z0-9_]+)`/g)].map(([, name = ""]) => name));
  const onX86 = ["i386_abi", "x32_abi", "ldt", "io_ports"];
  assert.deepEqual([...new Set(told)].sort(), [...new Set([...Object.keys(ATTEMPTS), ...onX86])].sort());
  assert.deepEqual(
    ROWS.filter((row) => !/`test\/|attempts `/.test(row)),
    [],
  );
});
