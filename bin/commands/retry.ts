import { z } from "zod";
import { formatBuild } from "../../protocol/ids.ts";
import { buildSummary } from "../../protocol/summary.ts";
import { buildPath } from "../api.ts";
import { EXIT } from "../exit.ts";
import { buildOf } from "../text/arguments.ts";
import { verb } from "../verb.ts";

export const retry = verb({
  usage: "retry <build> [stage]",
  summary: "try again what ended badly, and go on from there with what comes after",
  examples: ["toroid retry acme/api#42                  (all of it)", "toroid retry acme/api#42 build"],
  flags: [{ flags: "--reason <text>", about: "why, for the record" }],
  options: z.object({ reason: z.string().optional() }),
  async run({ api, json, out }, [build, stage], body) {
    const id = buildOf(build);
    const what = stage === undefined ? "" : `/stages/${encodeURIComponent(stage)}`;
    const now = await api().post(`${buildPath(id)}${what}/retry`, body, buildSummary);
    await out(json ? `${JSON.stringify(now)}\n` : `${formatBuild(now)}${stage === undefined ? "" : ` ${stage}`}\n`);
    return EXIT.ok;
  },
});
