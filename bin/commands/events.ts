import { z } from "zod";
import { presence } from "../../protocol/commands.ts";
import { formatBuild } from "../../protocol/ids.ts";
import { buildSummary, environmentSummary } from "../../protocol/summary.ts";
import { type Change, changes, RESYNC } from "../follow-events.ts";
import { repositoryOf } from "../text/arguments.ts";
import { stateOf } from "../text/builds.ts";
import { environmentLine } from "../text/environment.ts";
import { executorLine } from "../text/executors.ts";
import { coloured, oneLine } from "../text/output.ts";
import { type Context, verb } from "../verb.ts";

const ofRepository = z.looseObject({ repository: z.string() });

export const events = verb({
  usage: "events [repository]",
  summary: "every change of builds, environments and executors as it comes, until Ctrl-C",
  more: [
    "With --json a line for each: {event, id, data}. `resync` says that something may have been missed, for the connection",
    "was broken for too long: read afresh what you keep. All events with their history are in NATS: see the manual.",
  ].join("\n"),
  examples: ["toroid events", "toroid events acme/api --json"],
  flags: [{ flags: "--after <id>", about: "go on behind this event, if the coordinator still has it" }],
  options: z.object({ after: z.string().min(1, "--after is empty").optional() }),
  async run(context, [text], { after }) {
    const repository = text === undefined ? null : repositoryOf(text);
    let isFirst = true;
    for await (const change of changes(context, after ?? null)) {
      // The first one says only that we begin.
      const isNews = change.event !== RESYNC || !isFirst || after !== undefined;
      isFirst = false;
      if (isNews && isAbout(change, repository)) await show(context, change);
    }
    throw new Error("the stream of changes has no end");
  },
});

function isAbout({ event, data }: Change, repository: string | null): boolean {
  if (repository === null || event === RESYNC) return true;
  const read = ofRepository.safeParse(data);
  return read.success && read.data.repository === repository;
}

async function show({ json, out, colours }: Context, { event, id, data }: Change): Promise<void> {
  if (json) return out(`${JSON.stringify({ event, id, data })}\n`);
  if (event === RESYNC) return out("resync: something may have been missed\n");
  const build = buildSummary.safeParse(data);
  if (event === "build" && build.success) {
    const { message, waiting } = build.data;
    const why = oneLine(message || waiting, 200);
    const state = coloured(stateOf(build.data), colours);
    return out(`build ${formatBuild(build.data)} ${state}${why === "" ? "" : `: ${why}`}\n`);
  }
  const environment = environmentSummary.safeParse(data);
  if (event === "environment" && environment.success) {
    return out(`environment ${environmentLine(environment.data)}\n`);
  }
  const executor = presence.safeParse(data);
  if (event === "executor" && executor.success) return out(`executor ${executorLine(executor.data)}\n`);
  return out(`${oneLine(event)} ${oneLine(JSON.stringify(data), 200)}\n`);
}
