/** What is pushed, and what goes wrong when: a pure function of the seed, so that a failure can be looked at again. */
import { CRASH_POINTS, type CrashPoint } from "../../../kit/crash-points.ts";
import { type Random, randomFrom } from "../../support/random.ts";

/** How large a run is; with the seed, all that its plan depends on. */
export interface Size {
  readonly pushes: number;
  readonly coordinators: number;
  readonly executors: number;
}

/** A repository of the run, by what is in its file. */
export interface Repository {
  readonly name: string;
  readonly file: (port: number) => string;
}

export interface PlannedPush {
  readonly repository: string;
  /** Which of the repository's commits, from 0. */
  readonly commit: number;
  /** How many copies of the message are sent in all; the later ones at another time. */
  readonly copies: number;
  /** How many pushes later than its turn the message is sent: others overtake it. */
  readonly late: number;
}

/** One of the processes, from 0. */
export interface Who {
  readonly kind: "coordinator" | "executor";
  readonly index: number;
}

export type Mishap =
  /** `kill -9`; started again after a while. */
  | { readonly kind: "kill"; readonly whom: Who; readonly forMs: number }
  /** Started again such that it dies when it comes to the point for the nth time. */
  | { readonly kind: "crash"; readonly whom: Who; readonly point: CrashPoint; readonly nth: number }
  /** SIGTERM: it finishes what it holds, and is started again. */
  | { readonly kind: "leave"; readonly whom: Who }
  /** SIGSTOP, and SIGCONT after all its leases have run out. `alone`: what runs in its sandbox goes on. */
  | { readonly kind: "stop"; readonly whom: Who; readonly forMs: number; readonly alone: boolean }
  /** Its links break; it may come again at once. */
  | { readonly kind: "cut"; readonly whom: Who }
  /** Nothing gets through. `late`: what is said meanwhile arrives when it is over. */
  | { readonly kind: "part"; readonly whom: Who; readonly forMs: number; readonly late: boolean }
  /** The next thing that it stores is stored, or not, and it does not hear of it. */
  | { readonly kind: "unheard"; readonly whom: Who; readonly stored: boolean }
  | { readonly kind: "nats"; readonly how: "kill" | "stop"; readonly forMs: number }
  | { readonly kind: "queue" }
  /** Whoever runs the next deployment is stopped in the middle of it. */
  | { readonly kind: "zombie"; readonly forMs: number }
  /** A person cancels the newest build of a repository. */
  | { readonly kind: "cancel"; readonly repository: string }
  | { readonly kind: "pause"; readonly repository: string; readonly environment: string; readonly forMs: number };

export interface Step {
  /** When so many pushes have been sent. */
  readonly after: number;
  readonly mishap: Mishap;
}

export interface Plan {
  readonly seed: number;
  readonly size: Size;
  readonly pushes: readonly PlannedPush[];
  readonly steps: readonly Step[];
}

const SAY = "bash ./say";
const library = (port: number, more: string): string =>
  `kind: library\nenv: { WORLD: "${port}" }\nscript: ${SAY} build\n${more}`;
const application = (port: number, stage: string, prod: string): string => `kind: application
env: { WORLD: "${port}" }
script: ${SAY} build
environments:
  stage: { run: [${SAY} begin, "sleep 0.$((TOROID_BUILD * 7 % 10))", ${SAY} end], next: prod, ${stage} }
  prod: { run: [${SAY} begin, "sleep 0.$((TOROID_BUILD * 3 % 10))", ${SAY} end], ${prod} }
`;

export const REPOSITORIES: readonly Repository[] = [
  { name: "acme/library", file: (port) => library(port, "") },
  {
    name: "acme/published",
    file: (port) => library(port, `publish: { run: ${SAY} publish, on: { branches: [main] } }\n`),
  },
  { name: "acme/every", file: (port) => application(port, "queue: every", "queue: every") },
  { name: "acme/newest", file: (port) => application(port, "queue: newest", "queue: newest") },
  { name: "acme/mixed", file: (port) => application(port, "queue: newest, idempotent: true", "queue: every") },
  { name: "beta/again", file: (port) => application(port, "queue: every, idempotent: true", "queue: newest") },
];
export const APPLICATIONS = REPOSITORIES.slice(2).map(({ name }) => name);
export const ENVIRONMENTS = ["stage", "prod"] as const;

/** Past the presence of an executor (8 s), the lease of a coordinator (5 s) and the wait for an answer (10 s). */
const PAST_LEASES_MS = 11_000;
/** On average, how many pushes there are from one mishap to the next. */
const PUSHES_A_MISHAP = 6;

export function planOf(seed: number, size: Size): Plan {
  const random = randomFrom(seed);
  const counts = new Map<string, number>();
  const pushes = Array.from({ length: size.pushes }, (): PlannedPush => {
    const repository = random.pick(REPOSITORIES).name;
    const commit = counts.get(repository) ?? 0;
    counts.set(repository, commit + 1);
    const copies = random.chance(0.2) ? between(random, 2, 3) : 1;
    const late = random.chance(0.15) ? between(random, 1, 8) : 0;
    return { repository, commit, copies, late };
  });
  const steps = Array.from({ length: Math.ceil(size.pushes / PUSHES_A_MISHAP) }, (): Step => {
    const after = between(random, 1, size.pushes);
    return { after, mishap: mishapOf(random, size) };
  });
  return { seed, size, pushes, steps: steps.toSorted((a, b) => a.after - b.after) };
}

type Kind = Mishap["kind"];
/** How likely each is, beside the others. */
const WEIGHTS: readonly (readonly [Kind, number])[] = [
  ["kill", 16],
  ["crash", 20],
  ["leave", 5],
  ["stop", 12],
  ["cut", 8],
  ["part", 10],
  ["unheard", 14],
  ["nats", 4],
  ["queue", 2],
  ["zombie", 6],
  ["cancel", 6],
  ["pause", 4],
];
const TOTAL = WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0);

function kindOf(random: Random): Kind {
  let at = random.next() * TOTAL;
  for (const [kind, weight] of WEIGHTS) {
    at -= weight;
    if (at < 0) return kind;
  }
  return "kill";
}

function mishapOf(random: Random, size: Size): Mishap {
  const kind = kindOf(random);
  const whom = whoOf(random, size);
  switch (kind) {
    case "kill":
      return { kind, whom, forMs: random.pick([0, 0, 500, PAST_LEASES_MS]) };
    case "crash": {
      const point = random.pick<CrashPoint>(CRASH_POINTS);
      const daemon = point.startsWith("coordinator") ? "coordinator" : "executor";
      const nth = random.pick([1, 1, 2, 5, 10]);
      return { kind, whom: whoOf(random, size, daemon), point, nth };
    }
    case "leave":
    case "cut":
      return { kind, whom };
    case "stop":
      return { kind, whom, forMs: random.pick([1_500, PAST_LEASES_MS]), alone: random.chance(0.3) };
    case "part":
      return { kind, whom, forMs: random.pick([1_500, PAST_LEASES_MS]), late: random.chance(0.5) };
    case "unheard":
      return { kind, whom, stored: random.chance(0.6) };
    case "nats":
      return { kind, how: random.pick(["kill", "kill", "stop"]), forMs: random.pick([0, 2_000]) };
    case "queue":
      return { kind };
    case "zombie":
      return { kind, forMs: PAST_LEASES_MS };
    case "cancel":
      return { kind, repository: random.pick(REPOSITORIES).name };
    case "pause": {
      const repository = random.pick(APPLICATIONS);
      return { kind, repository, environment: random.pick(["stage", "prod", "*"]), forMs: between(random, 500, 4_000) };
    }
  }
}

/** A whole number from `from` to `to`. */
function between(random: Random, from: number, to: number): number {
  return from + random.below(to - from + 1);
}

function whoOf(random: Random, size: Size, only?: Who["kind"]): Who {
  const kind = only ?? random.pick(["coordinator", "executor", "executor"] as const);
  return { kind, index: random.below(kind === "coordinator" ? size.coordinators : size.executors) };
}

/** For people, one line a step. */
export function planText(plan: Plan): string {
  const { seed, size, pushes, steps } = plan;
  const copies = pushes.reduce((sum, one) => sum + one.copies, 0);
  const late = pushes.filter((one) => one.late > 0).length;
  const head = `seed ${seed}: ${pushes.length} pushes in ${copies} messages, ${late} of them overtaken; ${size.coordinators} coordinators, ${size.executors} executors`;
  return [head, ...steps.map(({ after, mishap }) => `  after ${after}: ${mishapText(mishap)}`)].join("\n");
}

export function mishapText({ kind, ...rest }: Mishap): string {
  const words = Object.entries(rest).map(([name, value]) =>
    typeof value === "object" ? `${value.kind} ${value.index}` : `${name}=${String(value)}`,
  );
  return [kind, ...words].join(" ");
}
