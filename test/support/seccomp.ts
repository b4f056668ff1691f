/**
 * The system call policy as its file says it, and a machine that runs the filter made from it: two readings that have
 * nothing in common, for a test to compare.
 */
export type Answer = "allow" | Errno;
type Errno = keyof typeof ERRNOS;

export interface Column {
  readonly name: "x86_64" | "aarch64";
  readonly audit: number;
}
export const COLUMNS: readonly Column[] = [
  { name: "x86_64", audit: 0xc000003e },
  { name: "aarch64", audit: 0xc00000b7 },
];

export const ERRNOS = { EPERM: 1, EINVAL: 22, ENOSYS: 38, EPROTONOSUPPORT: 93, EAFNOSUPPORT: 97 } as const;

/** One line: says `error` when the test holds, or with `only` when it does not. */
interface Line {
  readonly verb: "allow" | "deny" | "only";
  readonly error: Errno;
  readonly test: "always" | "bits" | "oneof" | "masked";
  readonly argument: number;
  readonly mask: number;
  readonly values: readonly number[];
  readonly when: { readonly argument: number; readonly value: number } | null;
}

export interface Call {
  readonly name: string;
  readonly lines: readonly Line[];
}
export type Policy = ReadonlyMap<number, Call>;

export function readPolicy(text: string, { name }: Column): Policy {
  const calls = new Map<number, Call>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [called = "", first = "", second = "", ...words] = line.split(/ +/);
    const number = name === "x86_64" ? first : second;
    if (number === "-") continue;
    const before = calls.get(Number(number))?.lines ?? [];
    calls.set(Number(number), { name: called, lines: [...before, readLine(words)] });
  }
  return calls;
}

function readLine(words: readonly string[]): Line {
  const [verb, error = "ENOSYS", test = "always", argument = "0", ...rest] = words;
  if (verb !== "allow" && verb !== "deny" && verb !== "only") throw new Error(`not an action: ${words.join(" ")}`);
  if (!isErrno(error)) throw new Error(`not an errno: ${error}`);
  if (test !== "always" && test !== "bits" && test !== "oneof" && test !== "masked")
    throw new Error(`not a test: ${test}`);
  const mask = test === "bits" || test === "masked" ? Number(rest.shift()) : 0xffffffff;
  const values = test === "oneof" || test === "masked" ? (rest.shift() ?? "").split(",").map(Number) : [];
  const when = rest[0] === "when" ? { argument: Number(rest[1]), value: Number(rest[2]) } : null;
  return { verb, error, test, argument: Number(argument), mask, values, when };
}

function isErrno(name: string): name is Errno {
  return name in ERRNOS;
}

/** @param arguments_ six registers of 64 bits */
export function policyAnswer(policy: Policy, number: number, arguments_: readonly bigint[]): Answer {
  const low = (at: number): number => Number((arguments_[at] ?? 0n) & 0xffffffffn);
  for (const line of policy.get(number)?.lines ?? [readLine(["deny", "ENOSYS"])]) {
    if (line.verb === "allow") return "allow";
    if (line.when !== null && low(line.when.argument) !== line.when.value) continue;
    const masked = (low(line.argument) & line.mask) >>> 0;
    const holds =
      line.test === "always" || (line.test === "bits" ? masked !== 0 : line.values.some((value) => value === masked));
    if (holds === (line.verb === "deny")) return line.error;
  }
  return "allow";
}

type Instruction = readonly [code: number, jt: number, jf: number, k: number];
export type Program = readonly Instruction[];

export function readProgram(header: string): Program {
  const rows = header.matchAll(/\{(0x[0-9a-f]+), (\d+), (\d+), (0x[0-9a-f]+)\}/g);
  return [...rows].map(([, code, jt, jf, k]): Instruction => [Number(code), Number(jt), Number(jf), Number(k)]);
}

/** What the program returns, and after how many instructions. As the kernel's `seccomp_data` has it, little-endian. */
export function runProgram(
  program: Program,
  audit: number,
  number: number,
  arguments_: readonly bigint[],
): { readonly returned: number; readonly steps: number } {
  let accumulator = 0;
  for (let at = 0, steps = 1; ; at++, steps++) {
    const [code, jt, jf, k] = program[at] ?? fail(`the program has no instruction ${at}`);
    const jump = (taken: boolean): void => void (at += taken ? jt : jf);
    switch (code) {
      case 0x20:
        accumulator = word(k, audit, number, arguments_);
        break;
      case 0x54:
        accumulator = (accumulator & k) >>> 0;
        break;
      case 0x05:
        at += k;
        break;
      case 0x15:
        jump(accumulator === k);
        break;
      case 0x25:
        jump(accumulator > k);
        break;
      case 0x35:
        jump(accumulator >= k);
        break;
      case 0x06:
        return { returned: k, steps };
      default:
        fail(`instruction 0x${code.toString(16)} is not known here`);
    }
  }
}

function word(offset: number, audit: number, number: number, arguments_: readonly bigint[]): number {
  if (offset === 0) return number;
  if (offset === 4) return audit;
  const argument = arguments_[(offset - 16) >> 3];
  if (offset < 16 || argument === undefined || offset % 4 !== 0) return fail(`a load from ${offset}`);
  return Number((offset % 8 === 0 ? argument : argument >> 32n) & 0xffffffffn);
}

function fail(why: string): never {
  throw new Error(why);
}
