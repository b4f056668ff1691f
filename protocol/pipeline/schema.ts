import { z } from "zod";
import { ami } from "./ami-schema.ts";
import { DURATION, durationText, parseDuration } from "./duration.ts";
import { patternProblem } from "./glob.ts";
import { hostText, MAX_HOSTS, readHost } from "./hosts.ts";
import { image } from "./image-schema.ts";
import { notify } from "./notify.ts";
import { priority, runsOn } from "./runs-on.ts";
import { checked, checkoutPath, oneOrMore } from "./schema-parts.ts";
import { parseSize, SIZE } from "./size.ts";
import { checkoutPathProblem, environmentProblem, printable, variableProblem } from "./text-rules.ts";

/**
 * Every key of `.toroid.yml`, once. `toroid.schema.json` is generated from it (`npm run schema`).
 *
 * The `error` of a leaf says what was expected, as the middle of a sentence ("expected …, found …"); messages of checks
 * are whole sentences. What needs more than one key to decide is in `environments.ts`, `matrix.ts` and `stages.ts`; what
 * cannot be carried out yet is in `support.ts`.
 */

function whole(expected: string, min: number, max: number) {
  const outside = `expected ${expected}`;
  return z.int({ error: expected }).min(min, { error: outside }).max(max, { error: outside });
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
export const MAX_TIMEOUT_MS = 24 * HOUR_MS;

const command = checked("a command", (text) =>
  text.trim() === "" ? "a command cannot be empty" : text.includes("\0") ? "a command cannot contain a NUL" : null,
);
const commands = oneOrMore(command, "a command or a list of commands");
const pattern = checked("a pattern", patternProblem);
const patterns = oneOrMore(pattern, "a pattern or a list of patterns");
const pathPattern = checked("a pattern", (text) => patternProblem(text) ?? checkoutPathProblem(text.replace(/^!/, "")));
const pathPatterns = oneOrMore(pathPattern, "a pattern or a list of patterns");
const environmentName = checked("the name of an environment", environmentProblem);
const variableName = checked("the name of a variable", variableProblem);
const secretNames = z.array(variableName, { error: "a list of names of secrets" });
const yesOrNo = z.boolean({ error: "`true` or `false`" });
const openMapping = z.looseObject({}, { error: "a mapping" });

/** A value of an environment variable: text, or what YAML makes of unquoted text that reads back the same. */
const value = z
  .union([z.string(), z.number(), z.boolean()], { error: "text" })
  .transform(String)
  .superRefine((text, context) => {
    if (text.includes("\0")) context.addIssue({ code: "custom", message: "a value cannot contain a NUL" });
    if (text.length > 32_768)
      context.addIssue({ code: "custom", message: "a value can have 32,768 characters at most" });
  });
const variables = z.record(variableName, value, { error: "a mapping of names to values" });

function duration(minMs: number, maxMs: number) {
  return z
    .string({ error: DURATION })
    .transform((text, context) => {
      const read = parseDuration(text);
      if ("ms" in read && read.ms >= minMs && read.ms <= maxMs) return read.ms;
      const range = `\`${durationText(minMs)}\` to \`${durationText(maxMs)}\``;
      const message = "problem" in read ? read.problem : `expected a duration from ${range}`;
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    })
    .meta({ examples: ["30m", "1h30m"] });
}
const moment = duration(1_000, MAX_TIMEOUT_MS);
interface TimeoutConfig {
  readonly queue?: number | undefined;
  readonly start?: number | undefined;
  readonly silence?: number | undefined;
  readonly hard?: number | undefined;
}
const TIMEOUT = `${DURATION}, or a mapping with \`queue\`, \`start\`, \`silence\` or \`hard\``;
const timeout = z.union(
  [
    moment.transform((hard): TimeoutConfig => ({ hard })),
    z.strictObject(
      {
        queue: moment.optional().describe("How long it may wait for an executor."),
        start: moment.optional().describe("From an executor taking it to its script beginning; then tried elsewhere."),
        silence: moment.optional().describe("How long it may print nothing."),
        hard: moment.optional().describe("How long it may run."),
      },
      { error: TIMEOUT },
    ),
  ],
  { error: TIMEOUT },
);

function size(minBytes: number, maxBytes: number, range: string) {
  return z
    .string({ error: SIZE })
    .transform((text, context) => {
      const read = parseSize(text);
      if ("bytes" in read && read.bytes >= minBytes && read.bytes <= maxBytes) return read.bytes;
      context.addIssue({ code: "custom", message: "problem" in read ? read.problem : `expected a size from ${range}` });
      return z.NEVER;
    })
    .meta({ examples: ["512MiB", "2GiB"] });
}

const limits = z
  .strictObject(
    {
      memory: size(2 ** 23, 2 ** 44, "`8MiB` to `16TiB`").optional(),
      cpu: z
        .number({ error: "a number of CPUs" })
        .min(0.01, { error: "expected a number of CPUs from 0.01 to 1024" })
        .max(1024, { error: "expected a number of CPUs from 0.01 to 1024" })
        .optional(),
      pids: whole("a number of processes from 1 to 4194304", 1, 4_194_304).optional(),
      disk: size(2 ** 20, 2 ** 50, "`1MiB` to `1024TiB`").optional(),
      log: size(2 ** 16, 2 ** 30, "`64KiB` to `1GiB`").optional(),
    },
    { error: "a mapping" },
  )
  .describe("What one attempt may use. `log` is 64MiB unless given; the others are the executor's.");

const host = z
  .string({ error: "the name or address of a host" })
  .transform((text, context) => {
    const read = readHost(text);
    if (!("problem" in read)) return hostText(read);
    context.addIssue({ code: "custom", message: read.problem });
    return z.NEVER;
  })
  .meta({ examples: ["registry.npmjs.org:443", "203.0.113.0/24"] });
const network = z
  .union(
    [
      z.enum(["full", "none"], { error: "`full`, `none` or a list of hosts" }),
      z
        .array(host)
        .min(1, { error: "expected at least one host; for no network write `none`" })
        .max(MAX_HOSTS, { error: `a list can have ${MAX_HOSTS} hosts at most` }),
    ],
    { error: "`full`, `none` or a list of hosts" },
  )
  .describe(
    "`full` unless given. A list: these hosts and no others, each a name, an IPv4 address or a network, with `:PORT` or without.",
  );

const refs = { branches: patterns.optional(), tags: patterns.optional() };
const filters = { ...refs, paths: pathPatterns.optional() };
const FILTERS = "a mapping with `branches`, `tags` or `paths`";
const on = z
  .strictObject({ push: z.strictObject(filters, { error: FILTERS }).optional(), ...filters }, { error: FILTERS })
  .refine((it) => it.push === undefined || Object.keys(it).length === 1, {
    error: "write `branches`, `tags` and `paths` either under `push` or beside each other, not both",
  })
  .describe(
    "Which pushes run. Without it every branch and tag. With `branches` and no `tags`, branches only, and the other way round. `paths` asks for a changed file, and lets tags through. The last matching pattern decides, `!` against; a list that begins with `!` begins with everything.",
  );

const publish = z
  .union(
    [
      commands,
      z.strictObject(
        {
          run: commands,
          on: z
            .strictObject(refs, { error: "a mapping with `branches` or `tags`" })
            .refine((it) => Object.keys(it).length > 0, { error: "expected `branches` or `tags`" })
            .optional(),
          secrets: secretNames.optional().describe("For `run` alone."),
        },
        { error: "a mapping with `run`" },
      ),
    ],
    { error: "a command, a list of commands, or a mapping with `run`" },
  )
  .describe("After `script` passed, on trusted refs. Without `on`: the default branch and every tag.");

const combination = z.object({}, { error: "a mapping of names to values" }).catchall(value);
const matrix = z
  .object(
    {
      include: z
        .array(
          z.object({ allow_failure: yesOrNo.optional() }, { error: "a mapping of names to values" }).catchall(value),
          {
            error: "a list of combinations",
          },
        )
        .optional(),
      exclude: z.array(combination, { error: "a list of combinations" }).optional(),
    },
    { error: "a mapping of names to lists of values" },
  )
  .catchall(z.array(value, { error: "a list of values" }))
  .describe(
    "A build stage for each combination, 256 at most. `include` adds one, or marks one that is there already (`allow_failure`); `exclude` takes away those that have all its values.",
  );

const RETRY = "a number of retries from 0 to 10, or a mapping with `times` or `backoff`";
interface RetryConfig {
  readonly times?: number | undefined;
  readonly backoff?: number | undefined;
}
const times = whole("a number of retries from 0 to 10", 0, 10);
const retry = z
  .union(
    [
      times.transform((given): RetryConfig => ({ times: given })),
      z.strictObject({ times: times.optional(), backoff: moment.optional() }, { error: RETRY }),
    ],
    { error: RETRY },
  )
  .describe("How often an attempt that could not be run is repeated (2 unless given), and after how long (at once).");

/** Whom an approval may come from. Until there is sign-in, a team is a name like any other. */
const person = checked("the name of a person or a team", (text) =>
  text.trim() !== text || text === "" || text.length > 100 || text !== printable(text)
    ? "expected the name of a person or a team, such as `ada` or `@acme/release`"
    : null,
);
const approval = z
  .strictObject(
    {
      from: oneOrMore(person, "a person, a team or a list of them")
        .optional()
        .describe("Who may approve. Without it, anybody but who caused the build."),
      self: yesOrNo.optional().describe("Whether who caused the build may approve it. Default `false`."),
      expires: duration(MINUTE_MS, 90 * 24 * HOUR_MS)
        .optional()
        .describe("How long it may wait for approval; 168h unless given."),
    },
    { error: "a mapping with `from`, `self` or `expires`" },
  )
  .describe("A person has to agree before this environment's stage goes.");

const next = z.union([environmentName.transform((one) => [one]), z.array(environmentName)], {
  error: "the name of an environment or a list of names",
});

const environment = z.strictObject(
  {
    next: next.optional().describe("What follows when this one has passed."),
    run: commands.optional().describe("The commands that deploy. Without it, `entrypoint` is called with the name."),
    params: variables.optional().describe("Variables of this environment; over `env`."),
    env: variables.optional().describe("Over the `env` of the file."),
    after: z
      .enum(["all", "any"], { error: "`all` or `any`" })
      .optional()
      .describe("With several stages before it: wait for all of them (the default) or any."),
    timeout: timeout.optional(),
    idempotent: yesOrNo.optional().describe("May be run again unasked after its executor was lost. Default `false`."),
    image: image.optional(),
    workdir: checkoutPath.optional(),
    limits: limits.optional().describe("Over the `limits` of the file, each by itself."),
    network: network.optional(),
    approval: approval.optional(),
    secrets: secretNames.optional().describe("For this environment alone: those of the file are for builds."),
    queue: z.enum(["newest", "every"], { error: "`newest` or `every`" }).optional(),
    retry: retry.optional().describe("Over the `retry` of the file, each by itself."),
    runs_on: runsOn.optional(),
    check: commands
      .optional()
      .describe("Run when the executor was lost half way: exits with 0 when it went, with 1 when it did not."),
  },
  { error: "a mapping" },
);

export const schema = z
  .strictObject(
    {
      kind: z
        .enum(["library", "application"], { error: "`library` or `application`" })
        .optional()
        .describe("`application` when there are environments or an AMI, otherwise `library`."),
      image: image.optional(),
      env: variables
        .optional()
        .describe("For every stage, as written: nothing is expanded. Quote what YAML would change."),
      secrets: secretNames
        .optional()
        .describe("For build stages: names of what the operator keeps for this repository. On branches and tags only."),
      on: on.optional(),
      matrix: matrix.optional(),
      workdir: checkoutPath
        .optional()
        .describe("Where `install`, `script`, `publish`, `after` and `run` run, in the checkout."),
      install: commands.optional().describe("Before `script`. Its failure is shown as failed in install."),
      script: commands.optional().describe("Stops at the first command that fails."),
      publish: publish.optional(),
      after: commands.optional().describe("Always runs, last, and cannot change the outcome."),
      cache: z
        .union([checkoutPath.transform((one) => [one]), z.array(checkoutPath)], { error: "a list of paths" })
        .optional(),
      services: z
        .union([z.array(z.string({ error: "the name of a service" })), openMapping], {
          error: "a list or a mapping of services",
        })
        .optional(),
      artifact: z
        .strictObject(
          { ami: ami.optional(), files: pathPatterns.optional() },
          { error: "a mapping with `ami` or `files`" },
        )
        .refine((it) => Object.keys(it).length > 0, { error: "expected `ami` or `files`" })
        .optional()
        .describe("What the build emits. `files`: patterns in `workdir`. `ami`: the image of a machine."),
      entrypoint: checkoutPath
        .optional()
        .describe(
          "A program in the checkout, called as `<entrypoint> <environment>` for each environment without `run`.",
        ),
      next: next
        .optional()
        .describe("Where promotion begins. Without any `next` in the file, environments follow each other as written."),
      environments: z
        .record(
          environmentName,
          z.union([environment, z.null().transform((): z.infer<typeof environment> => ({}))], { error: "a mapping" }),
          { error: "a mapping of names to environments" },
        )
        .optional(),
      timeout: timeout
        .optional()
        .describe("Of each stage: how long it may run, or several by name. `hard` is 1h unless given."),
      limits: limits.optional(),
      network: network.optional(),
      retry: retry.optional(),
      runs_on: runsOn.optional(),
      priority: priority.optional(),
      concurrency: z
        .strictObject({ cancel_superseded: yesOrNo.optional() }, { error: "a mapping" })
        .optional()
        .describe(
          "`cancel_superseded: true`: a push ends the build stages of older pushes of its branch, waiting or running; never an environment's.",
        ),
      notify: notify.optional(),
      skip: z
        .union(
          [
            yesOrNo,
            oneOrMore(
              checked("text", (text) => (text.trim() === "" ? "the text that skips a build cannot be empty" : null)),
              "text or a list of texts",
            ),
          ],
          { error: "`true`, `false`, or texts that skip a build when a commit message has one" },
        )
        .optional()
        .describe(
          "`[skip ci]`, `[ci skip]` and `[skip toroid]` in the head commit's message always skip, unless this is `false`. `true` skips every push. Texts are looked for in the message as well.",
        ),
    },
    { error: "a mapping of keys such as `script: make test`" },
  )
  .meta({ title: ".toroid.yml", description: "What Toroid runs for a push." });

/** A valid `.toroid.yml`, durations in milliseconds and sizes in bytes, one-or-more as lists; defaults not filled in. */
export type Config = z.output<typeof schema>;
export type EnvironmentConfig = z.output<typeof environment>;
