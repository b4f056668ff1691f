/** The whole tree of commands, by its table: what each promises to whoever asks for help or mistypes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Command, CommanderError } from "commander";
import { VERBS } from "../../../bin/commands.ts";
import { nameOf } from "../../../bin/completion.ts";
import { EXIT, EXIT_MEANINGS } from "../../../bin/exit.ts";
import { programOf } from "../../../bin/program.ts";
import { hasColours } from "../../../bin/text/output.ts";
import { build } from "../../support/summaries.ts";
import { FakeCoordinator } from "./fake-coordinator.ts";
import { toroid } from "./toroid.ts";

/** Parses one command line and does nothing; answers what was printed. */
async function told(...words: readonly string[]): Promise<{ readonly text: string; readonly exit: number }> {
  let text = "";
  const program = programOf(async () => undefined);
  const hear = (command: Command): void => {
    const write = (some: string): void => void (text += some);
    command.configureOutput({ writeOut: write, writeErr: write });
    for (const sub of command.commands) hear(sub);
  };
  hear(program);
  try {
    await program.parseAsync(words, { from: "user" });
    return { text, exit: 0 };
  } catch (error) {
    assert.ok(error instanceof CommanderError, String(error));
    return { text, exit: error.exitCode };
  }
}

const NAMES = VERBS.map((verb) => [nameOf(verb), verb] as const);

test("every command is there once, by the name that its table has", () => {
  const names = NAMES.map(([name]) => name);
  assert.deepEqual(names, [...new Set(names)]);
  assert.ok(names.length > 30, `${names.length} commands`);
});

for (const [name, verb] of NAMES) {
  describe(`toroid ${name}`, () => {
    test("has help: its arguments, flags, --json, an example of its own, exit codes", async () => {
      const { text, exit } = await told(...name.split(" "), "--help");
      assert.equal(exit, 0);
      assert.ok(text.startsWith(`Usage: toroid ${name}`), text);
      for (const { flags } of verb.flags) assert.ok(text.includes(flags), flags);
      assert.match(text, /--json +data for programs/);
      assert.ok(verb.examples.length > 0);
      for (const example of verb.examples) {
        assert.match(example, new RegExp(`\\btoroid ${name}\\b`));
        assert.ok(text.includes(`\n  ${example}\n`), example);
      }
      for (const [code, meaning] of Object.entries(EXIT_MEANINGS))
        assert.match(text, new RegExp(`\\b${code} ${meaning}`));
      for (const line of text.split("\n")) assert.ok(line.length <= 120 || line.startsWith("Exit codes"), line);
    });

    test("refuses a flag that it does not have, and suggests the one that was meant", async () => {
      const { text, exit } = await told(...name.split(" "), "--jsom");
      assert.notEqual(exit, 0);
      assert.match(text, /unknown option '--jsom'\n\(Did you mean --json\?\)/);
    });

    test("refuses an argument too many", async () => {
      const wanted = [...verb.usage.matchAll(/[<[]/g)].length;
      const { text, exit } = await told(...name.split(" "), ...Array.from({ length: wanted + 1 }, () => "x"));
      assert.notEqual(exit, 0);
      assert.match(text, /too many arguments/);
    });
  });
}

test("a command that is mistyped is suggested; with --json the error is data", async () => {
  const { text } = await told("statsu");
  assert.match(text, /unknown command 'statsu'\n\(Did you mean status\?\)/);
  const { exit, out, err } = await toroid(["--json", "statsu"]);
  assert.deepEqual([exit, out], [2, ""]);
  assert.deepEqual(JSON.parse(err), {
    code: "TOR_INVALID_INPUT",
    message: "unknown command 'statsu'\n(Did you mean status?)",
  });
});

test("exit codes are those of the design, and each has a meaning", () => {
  assert.deepEqual(Object.values(EXIT), [0, 1, 2, 3, 4, 5, 6, 124, 130]);
  assert.deepEqual(Object.keys(EXIT_MEANINGS).map(Number), Object.values(EXIT));
});

test("colours: FORCE_COLOR and NO_COLOR are heard, and a pipe has none", async () => {
  const pipe = { isTTY: false } as NodeJS.WriteStream;
  const terminal = { isTTY: true, hasColors: () => true } as unknown as NodeJS.WriteStream;
  const wants = (stream: NodeJS.WriteStream, environment: Readonly<Record<string, string>>): boolean =>
    hasColours(stream, environment);
  assert.deepEqual(
    [wants(pipe, {}), wants(pipe, { FORCE_COLOR: "1" }), wants(terminal, {}), wants(terminal, { NO_COLOR: "1" })],
    [false, true, true, false],
  );
  assert.deepEqual([wants(terminal, { NO_COLOR: "" }), wants(terminal, { FORCE_COLOR: "0" })], [true, false]);
  await using server = await FakeCoordinator.start({
    "GET /api/v1/builds": { json: { builds: [build(42)], next: null } },
  });
  const env = { TOROID_URL: server.url, FORCE_COLOR: "1" };
  const { out } = await toroid(["builds"], { env });
  assert.ok(out.includes("\u001b[32mpassed\u001b[39m"), out);
});
