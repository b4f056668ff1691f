/** The committed system call filters answer as the policy says: both are run over every call, on any machine. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { execa } from "execa";
import {
  type Call,
  COLUMNS,
  type Column,
  ERRNOS,
  type Policy,
  type Program,
  policyAnswer,
  readPolicy,
  readProgram,
  runProgram,
} from "../../support/seccomp.ts";
import { needs } from "../../support/skips.ts";

const SANDBOX = join(import.meta.dirname, "..", "..", "..", "sandbox");
const TEXT = readFileSync(join(SANDBOX, "seccomp.policy"), "utf8");
const HIGHEST = 1100;
/** Numbers of x32 have bit 30; the rest are the ends of what a register holds. */
const STRANGE_NUMBERS = [0x40000000, 0x40000001, 0x40000000 + 59, 0x400001ff, 0x7fffffff, 0x80000000, 0xffffffff];
/** i386, arm, riscv64, x86_64 without its 64-bit mark, and none. */
const FOREIGN = [0x40000003, 0x40000028, 0xc00000f3, 0x8000003e, 0];
const ALLOWED = 0x7fff0000;
const REFUSED = 0x00050000;
/** The high half of a register, which the kernel does not look at in any argument that the policy looks at. */
const HIGH_HALVES = [0n, 1n << 32n, 0xffffffffn << 32n];
const NONE: readonly bigint[] = [0n, 0n, 0n, 0n, 0n, 0n];

describe("the system call filter", () => {
  for (const column of COLUMNS) {
    const policy = readPolicy(TEXT, column);
    const program = readProgram(readFileSync(join(SANDBOX, `seccomp-${column.name}.h`), "utf8"));

    test(`of ${column.name}, as committed, answers every call as the policy says`, () => {
      assertObeys(program, policy, column);
    });

    test(`of ${column.name} refuses every call of a foreign architecture`, () => {
      for (const audit of FOREIGN) {
        for (let number = 0; number <= HIGHEST; number++)
          assert.equal(decoded(runProgram(program, audit, number, NONE).returned), "ENOSYS");
      }
    });

    test(`of ${column.name} is a tree: 20 instructions find any call, and the kernel takes its length`, () => {
      assert.ok(program.length > 0 && program.length <= 4096, `${program.length} instructions`);
      for (const [number, { name, lines }] of policy) {
        if (lines.some((line) => line.test !== "always")) continue;
        const { steps } = runProgram(program, column.audit, number, NONE);
        assert.ok(steps <= 20, `${name} takes ${steps} instructions`);
      }
    });

    test(`of ${column.name}, as libseccomp makes it here, answers every call as the policy says`, async (t) => {
      if (!needs(t, { program: ["make", "cc"], path: "/usr/include/seccomp.h" })) return;
      await execa("make", ["-s", "-C", SANDBOX, "build/seccomp-gen"]);
      const { stdout } = await execa(join(SANDBOX, "build", "seccomp-gen"), [column.name], { input: TEXT });
      assertObeys(readProgram(stdout), policy, column);
    });
  }
});

function assertObeys(program: Program, policy: Policy, { audit }: Column): void {
  const numbers = [...Array.from({ length: HIGHEST + 1 }, (_, number) => number), ...STRANGE_NUMBERS];
  for (const number of numbers) {
    const call = policy.get(number);
    for (const arguments_ of interesting(call)) {
      const said = decoded(runProgram(program, audit, number, arguments_).returned);
      const meant = policyAnswer(policy, number, arguments_);
      if (said !== meant) assert.fail(`${call?.name ?? number}(${arguments_.join()}): ${said} instead of ${meant}`);
    }
  }
}

/** Every combination of values at the edges of what the call's lines tell apart, with high halves of any kind. */
function interesting(call: Call | undefined): readonly (readonly bigint[])[] {
  const values = new Map<number, Set<number>>();
  const note = (argument: number, ...some: readonly number[]): void => {
    const known = values.get(argument) ?? new Set([0, 1, 0x7fffffff, 0x80000000, 0xffffffff]);
    for (const value of some) known.add(value >>> 0);
    values.set(argument, known);
  };
  const lines = (call?.lines ?? []).filter((line) => line.test !== "always");
  // Each bit by itself, where it does not have to be multiplied with those of other arguments.
  const bits =
    new Set(lines.map(({ argument }) => argument)).size > 1 ? [0, 3, 31] : Array.from({ length: 32 }, (_, bit) => bit);
  for (const line of lines) {
    for (const value of line.values)
      note(line.argument, value, value - 1, value + 1, value | ~line.mask, value ^ line.mask);
    for (const bit of bits) note(line.argument, 1 << bit, ~(1 << bit), (line.values[0] ?? 0) ^ (1 << bit));
    if (line.when !== null) note(line.when.argument, line.when.value, line.when.value + 1);
  }
  let all: readonly (readonly bigint[])[] = [NONE];
  for (const [argument, some] of values) {
    all = all.flatMap((before) => [...some].map((value) => before.with(argument, BigInt(value))));
  }
  return all.flatMap((arguments_) => HIGH_HALVES.map((high) => arguments_.map((value) => value | high)));
}

function decoded(returned: number): string {
  if (returned === ALLOWED) return "allow";
  const name = Object.entries(ERRNOS).find(([, error]) => returned === REFUSED + error)?.[0];
  return name ?? `0x${returned.toString(16)}`;
}
