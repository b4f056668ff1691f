import { z } from "zod";
import { formatBuild } from "../../protocol/ids.ts";
import { buildSummary } from "../../protocol/summary.ts";
import { buildPath } from "../api.ts";
import { EXIT, Failure } from "../exit.ts";
import { buildOf } from "../text/arguments.ts";
import { verb } from "../verb.ts";

export const cancel = verb({
  usage: "cancel <build>",
  summary: "end a build: what waits is dropped, what runs is stopped",
  examples: ['toroid cancel acme/api#42 --reason "wrong branch"'],
  flags: [{ flags: "--reason <text>", about: "why, for the record" }],
  options: z.object({
    reason: z.string().trim().min(1, "--reason is empty").default("cancelled from the command line"),
  }),
  async run({ api, json, out }, [build], { reason }) {
    const now = await api().post(`${buildPath(buildOf(build))}/cancel`, { reason }, buildSummary);
    if (now.outcome !== null && now.outcome !== "cancelled") {
      throw new Failure(EXIT.blocked, "TOR_CONFLICT", `${formatBuild(now)} has ended already: ${now.outcome}`);
    }
    await out(json ? `${JSON.stringify(now)}\n` : `${formatBuild(now)} ${now.outcome ?? "is being cancelled"}\n`);
    return EXIT.ok;
  },
});
