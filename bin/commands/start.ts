import { chmod, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { aborted } from "../../kit/signals.ts";
import { formatBuild, PLAN_STAGE } from "../../protocol/ids.ts";
import type { BuildSummary } from "../../protocol/summary.ts";
import { openApi } from "../api.ts";
import { EXIT, Failure } from "../exit.ts";
import { onEndRequest, unlessAborted } from "../start/ending.ts";
import { plainly, refuseFullDisk, refuseOnceFull, refuseTakenPorts, refuseWrongMachine } from "../start/refusals.ts";
import { type Context, verb } from "../verb.ts";

const PORTS = { http: 7433, nats: 4222, queue: 4566 };
const port = z.coerce.number({ error: "a port is a number" }).int().min(0).max(65_535).optional();

export const start = verb({
  usage: "start",
  summary: "run everything on this machine, and push a sample application through it",
  more: [
    "Starts nats-server, a queue, a coordinator with the page and the API, and one executor. Keeps its data in",
    ".toroid/state of the current directory. With --exit: any free ports, data thrown away at the end, and a last line",
    'of JSON: {"ok":true,"stages":[…],"pushToFirstCommandMs":…}; exits with 1 when a stage did not pass.',
  ].join("\n"),
  examples: ["sudo toroid start", "sudo toroid start --exit --slots 2"],
  flags: [
    { flags: "--exit", about: "stop when the sample went through" },
    { flags: "--port <number>", about: `of the page and the API (${PORTS.http})` },
    { flags: "--nats-port <number>", about: `(${PORTS.nats})` },
    { flags: "--queue-port <number>", about: `(${PORTS.queue})` },
    { flags: "--slots <number>", about: "how many stages run at once (one per CPU)" },
  ],
  options: z.object({
    exit: z.boolean().default(false),
    port,
    natsPort: port,
    queuePort: port,
    slots: z.coerce.number({ error: "--slots is a number" }).int().min(1).max(256).optional(),
  }),
  async run(context, _args, options) {
    refuseWrongMachine();
    try {
      return await startIn(context, options);
    } catch (error) {
      throw await plainly(error, process.cwd());
    }
  },
});

interface Options {
  readonly exit: boolean;
  readonly port?: number | undefined;
  readonly natsPort?: number | undefined;
  readonly queuePort?: number | undefined;
  readonly slots?: number | undefined;
}

async function startIn(context: Context, options: Options): Promise<number> {
  const ending = onEndRequest();
  const usual = (number: number): number => (options.exit ? 0 : number);
  const ports = {
    http: options.port ?? usual(PORTS.http),
    nats: options.natsPort ?? usual(PORTS.nats),
    queue: options.queuePort ?? usual(PORTS.queue),
  };
  await refuseTakenPorts({ "--port": ports.http, "--nats-port": ports.nats, "--queue-port": ports.queue });
  const { makePlace } = await import("../start/place.ts");
  const base = await makePlace(process.cwd(), context.environment, context.err);
  await removeAbandoned(base);
  await refuseFullDisk(base);

  await using undo = new AsyncDisposableStack();
  const dir = options.exit ? await mkdtemp(join(base, `exit-${process.pid}-`)) : join(base, "state");
  await mkdir(dir, { recursive: true });
  await chmod(dir, 0o755); // the executor's user has to come through
  if (options.exit) undo.defer(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  const [{ startSystem, TOROID }, { makeSample, pushSample, SAMPLE_REPOSITORY }, { buildOfCommit, watchBuild }] =
    await Promise.all([import("../start/system.ts"), import("../start/sample.ts"), import("../start/watch.ts")]);
  const say = context.err;
  const system = undo.use(await startSystem({ dir, ports, slots: options.slots ?? null, say, ending }));
  const sample = await makeSample(join(dir, "sample"), {
    toroid: [process.execPath, TOROID],
    environment: system.queueEnvironment,
  });
  ending.throwIfAborted();
  // Whoever watches is told to end when we are asked to, and when a part broke.
  const left = new AbortController();
  undo.defer(() => left.abort(new Failure(EXIT.server, "TOR_INTERNAL", "not watched any more")));
  const watching = AbortSignal.any([ending, left.signal]);
  const here: Context = { ...context, api: () => openApi(system.url, null, null), interrupted: () => watching };
  const through = async (): Promise<{ build: BuildSummary; pushToFirstCommandMs: number | null }> => {
    const { commit, toldAtMs } = await pushSample(sample);
    const found = await buildOfCommit(here, SAMPLE_REPOSITORY, commit);
    const build = await watchBuild(here, found);
    const first = build.stages.find((one) => one.name !== PLAN_STAGE)?.startedAtMs ?? null;
    return { build, pushToFirstCommandMs: first === null ? null : first - toldAtMs };
  };
  const { build, pushToFirstCommandMs } = await unlessAborted(
    ending,
    Promise.race([through(), system.broken, refuseOnceFull(base, watching)]),
  );
  const ok = build.outcome === "passed";
  if (build.status === "finished") {
    say(`--- ${formatBuild(build)} ${build.outcome ?? "unknown"}${build.message === "" ? "" : `: ${build.message}`}`);
  }
  if (options.exit) {
    const stages = build.stages
      .filter((one) => one.name !== PLAN_STAGE)
      .map(({ name, outcome }) => ({ name, outcome }));
    await undo.disposeAsync();
    await context.out(`${JSON.stringify({ ok, stages, pushToFirstCommandMs })}\n`);
    return ok ? EXIT.ok : EXIT.failed;
  }
  say(guide(system.url, system.natsUrl, sample));
  await Promise.race([aborted(ending), system.broken]);
  say("stopping: what runs has 15 s to finish, another Ctrl-C ends it");
  return ok || build.status !== "finished" ? EXIT.ok : EXIT.failed;
}

function guide(url: string, natsUrl: string, sample: { readonly workTree: string }): string {
  const toroid = `node ${join(import.meta.dirname, "..", "toroid.ts")}`;
  return [
    "",
    `Toroid runs. Page and API:   ${url}`,
    `Watch everything:            nats sub -s ${natsUrl} 'toroid.events.>'`,
    `Push again:                  cd ${sample.workTree} && git commit --allow-empty -m again && git push origin main`,
    `A repository of your own:    put a .toroid.yml into it (${toroid} lint checks it), then`,
    `                             ${toroid} trigger me/project main --remote file:///path/to/project`,
    "Ctrl-C stops everything; the next start goes on where this one ended.",
  ].join("\n");
}

/** What an earlier `--exit` left that was killed outright. */
async function removeAbandoned(base: string): Promise<void> {
  for (const name of await readdir(base)) {
    const pid = /^exit-([0-9]+)-/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(join(base, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
