import { amiPlanOf } from "./ami-schema.ts";
import { orderOf, type Position } from "./environments.ts";
import { type Finding, wrongKey } from "./finding.ts";
import { TEMPLATE_FILE } from "./generated-template.ts";
import { imageOf, templated, workdirOf } from "./image.ts";
import type { ImageConfig } from "./image-schema.ts";
import { type Variant, variantName, variantsOf } from "./matrix.ts";
import type { Approval, Image, Limits, Phases, PublishRefs, Retry, RunsOn, StagePlan, Tree } from "./model.ts";
import type { Parsed } from "./parse.ts";
import type { Path } from "./problem.ts";
import { ANYWHERE, type RunsOnConfig, runsOnOf } from "./runs-on.ts";
import type { Config, EnvironmentConfig } from "./schema.ts";

const HOUR_MS = 3_600_000;
export const DEFAULT_TIMEOUT_MS = HOUR_MS;
const DEFAULT_RETRIES = 2;
const DEFAULT_APPROVAL_MS = 7 * 24 * HOUR_MS;
export const DEFAULT_LOG_BYTES = 64 * 2 ** 20;

const NO_PHASES: Phases = { install: [], script: [], publish: [], after: [] };

/**
 * The stages of a file, build stages first, with every default filled in, and what is wrong between its keys. The
 * stages mean something only when there is nothing wrong.
 *
 * An environment without an image or a `runs_on` of its own has the file's, as the first build stage has it. A file
 * without an image has the one of the template `.packer` that lies beside it.
 *
 * @param tree null when what is beside the file is not known
 */
export function stagesOf(
  parsed: Parsed,
  tree: Tree | null,
): {
  readonly stages: readonly StagePlan[];
  readonly findings: readonly Finding[];
} {
  const { config, complete, environments } = parsed;
  const broken = (key: string) => parsed.findings.some(({ path }) => path[0] === key);
  const matrix = variantsOf(broken("matrix") ? undefined : config.matrix);
  const order = orderOf(config, environments);
  const findings = [...matrix.findings, ...order.findings];
  const variablesKnown = !broken("matrix") && !broken("env") && matrix.findings.length === 0;

  /** Keeps what is wrong with an image and goes on with the default one. */
  const image = (said: ImageConfig | undefined, path: Path, env: Readonly<Record<string, string>>): Image => {
    const own = said === undefined && tree?.template === "file" ? { packer: TEMPLATE_FILE } : said;
    const read = imageOf(own, path, env);
    const made = "image" in read ? templated(read.image, config, path, env, tree) : read;
    if ("image" in made) return made.image;
    findings.push(...made.findings.filter(({ kind }) => kind === "unsupported" || variablesKnown));
    return { kind: "default" };
  };

  const runsOn = (said: RunsOnConfig | undefined, path: Path, env: Readonly<Record<string, string>>): RunsOn => {
    const made = runsOnOf(said, path, env);
    if ("runsOn" in made) return made.runsOn;
    if (variablesKnown) findings.push(...made.findings);
    return ANYWHERE;
  };

  const builds = matrix.variants.map((variant) => {
    const env = { ...config.env, ...variant.variables };
    const where = runsOn(config.runs_on, ["runs_on"], env);
    return buildStage(config, variant, env, image(config.image, ["image"], env), where);
  });
  const needed = builds.map(({ name }) => name);
  const targets = order.positions.map((position) => {
    const said = config.environments?.[position.name] ?? {};
    const env = { ...config.env, ...said.env, ...said.params };
    const inherited = { ...config.env, ...matrix.variants[0]?.variables, ...said.env, ...said.params };
    const own = ["environments", position.name];
    const made =
      said.image !== undefined ? image(said.image, [...own, "image"], env) : image(config.image, ["image"], inherited);
    const where =
      said.runs_on !== undefined
        ? runsOn(said.runs_on, [...own, "runs_on"], env)
        : runsOn(config.runs_on, ["runs_on"], inherited);
    return environmentStage(config, position, said, env, needed, made, where);
  });
  if (complete) findings.push(...missing(config));
  findings.push(...contradictions(config), ...manyBakes(config, builds.length));
  return { stages: [...builds, ...targets], findings };
}

function buildStage(
  config: Config,
  variant: Variant,
  env: Readonly<Record<string, string>>,
  image: Image,
  runsOn: RunsOn,
): StagePlan {
  const { install = [], script = [], after = [] } = config;
  return {
    name: variantName(variant),
    environment: null,
    needs: [],
    join: "all",
    automatic: true,
    allowFailure: variant.allowFailure,
    image,
    workdir: workdirOf(config.workdir),
    env,
    secrets: [...new Set(config.secrets)],
    publishSecrets: publishSecrets(config),
    phases: { install, script, publish: publishLines(config), after },
    entrypoint: null,
    publishRefs: publishRefs(config),
    artifactFiles: config.artifact?.files ?? [],
    ami: amiPlanOf(config.artifact?.ami),
    limits: limitsOf(config, {}),
    ...networkOf(config.network),
    ...timeoutsOf(config, {}),
    idempotent: true,
    retry: retryOf(config, {}),
    check: [],
    queue: "newest",
    approval: null,
    runsOn,
    priority: config.priority ?? "normal",
  };
}

function environmentStage(
  config: Config,
  { name, first, after }: Position,
  said: EnvironmentConfig,
  env: Readonly<Record<string, string>>,
  builds: readonly string[],
  image: Image,
  runsOn: RunsOn,
): StagePlan {
  const entrypoint = said.run === undefined ? (config.entrypoint ?? null) : null;
  // What begins, and what waits for a request, comes after the builds; the builds are before everything else anyway.
  const afterBuilds = after.length === 0 || (first && said.after === "any");
  return {
    name,
    environment: name,
    needs: afterBuilds ? builds : after,
    join: afterBuilds ? "all" : (said.after ?? "all"),
    automatic: first || after.length > 0,
    allowFailure: false,
    image,
    workdir: workdirOf(said.workdir ?? (entrypoint === null ? config.workdir : undefined)),
    env,
    secrets: [...new Set(said.secrets)],
    publishSecrets: [],
    phases: { ...NO_PHASES, script: said.run ?? [] },
    entrypoint,
    publishRefs: null,
    artifactFiles: [],
    ami: null,
    limits: limitsOf(config, said),
    ...networkOf(said.network ?? config.network),
    ...timeoutsOf(config, said),
    idempotent: said.idempotent ?? false,
    retry: retryOf(config, said),
    check: said.check ?? [],
    queue: said.queue ?? "newest",
    approval: approvalOf(said),
    runsOn,
    priority: "high",
  };
}

function retryOf(config: Config, said: EnvironmentConfig): Retry {
  const merged: NonNullable<Config["retry"]> = { ...config.retry, ...said.retry };
  const { times = DEFAULT_RETRIES, backoff = 0 } = merged;
  return { attempts: times + 1, backoffMs: backoff };
}

function approvalOf({ approval }: EnvironmentConfig): Approval | null {
  if (approval === undefined) return null;
  const { from = [], self = false, expires = DEFAULT_APPROVAL_MS } = approval;
  return { from, self, expiresMs: expires };
}

function publishLines({ publish }: Config): readonly string[] {
  return publish === undefined ? [] : "run" in publish ? publish.run : publish;
}

function publishSecrets({ publish }: Config): readonly string[] {
  return publish === undefined || !("run" in publish) ? [] : [...new Set(publish.secrets)];
}

function publishRefs({ publish }: Config): PublishRefs | null {
  if (publish === undefined || !("run" in publish) || publish.on === undefined) return null;
  return { branches: publish.on.branches ?? null, tags: publish.on.tags ?? null };
}

function limitsOf(config: Config, said: EnvironmentConfig): Limits {
  const { memory, cpu, pids, disk, log } = { ...config.limits, ...said.limits };
  return {
    memoryBytes: memory ?? null,
    cpuMilli: cpu === undefined ? null : Math.round(cpu * 1_000),
    pids: pids ?? null,
    diskBytes: disk ?? null,
    logBytes: log ?? DEFAULT_LOG_BYTES,
  };
}

/** Who does not know lists of hosts takes one for `none`: less is safer than more. */
function networkOf(network: Config["network"] = "full"): Pick<StagePlan, "network" | "hosts"> {
  return typeof network === "string" ? { network, hosts: [] } : { network: "none", hosts: [...new Set(network)] };
}

/** Each by itself: what the environment says, else the file. */
function timeoutsOf(config: Config, said: EnvironmentConfig): Pick<StagePlan, "timeoutMs" | "timeouts"> {
  const merged: NonNullable<Config["timeout"]> = { ...config.timeout, ...said.timeout };
  const { queue = null, start = null, silence = null, hard = DEFAULT_TIMEOUT_MS } = merged;
  return { timeoutMs: hard, timeouts: { queueMs: queue, startMs: start, silenceMs: silence } };
}

/** What has to be there and is not. */
function missing(config: Config): readonly Finding[] {
  const { install, script, publish, environments, artifact, entrypoint } = config;
  const names = Object.keys(environments ?? {});
  if ([install, script, publish, environments, artifact].every((key) => key === undefined))
    return [wrongKey([], "the file runs nothing", "add `script`, for example `script: make test`")];
  if (environments !== undefined && names.length === 0)
    return [wrongKey(["environments"], "`environments` is empty", "declare one, or remove the key")];
  if (entrypoint !== undefined && names.length === 0)
    return [
      wrongKey(
        ["entrypoint"],
        "`entrypoint` is called for environments, and this file has none",
        "declare `environments`",
      ),
    ];
  if (entrypoint !== undefined) return [];
  return Object.entries(environments ?? {}).flatMap(([name, { run }]) =>
    run === undefined
      ? [
          wrongKey(
            ["environments", name],
            `\`${name}\` has nothing to run`,
            "give it a `run`, or the file an `entrypoint`",
          ),
        ]
      : [],
  );
}

/** What cannot be together. */
function contradictions({ kind, environments, artifact }: Config): readonly Finding[] {
  if (kind !== "library") return [];
  const hint = "write `kind: application`, or leave `kind` out";
  return [
    ...(environments === undefined ? [] : [wrongKey(["environments"], "a library has no environments", hint)]),
    ...(artifact?.ami === undefined ? [] : [wrongKey(["artifact", "ami"], "a library has no AMI", hint)]),
  ];
}

/** A build has one artifact. */
function manyBakes({ artifact }: Config, builds: number): readonly Finding[] {
  if (artifact?.ami === undefined || builds <= 1) return [];
  const message = `an AMI is baked of one build stage, and \`matrix\` makes ${builds} of them`;
  return [wrongKey(["artifact", "ami"], message, "leave one combination, or bake in a repository of its own")];
}
