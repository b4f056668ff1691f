import { z } from "zod";
import { environmentSummary } from "../../protocol/summary.ts";
import { environmentPath } from "../api.ts";
import { EXIT } from "../exit.ts";
import { repositoryOf } from "../text/arguments.ts";
import { environmentLine } from "../text/environment.ts";
import { verb } from "../verb.ts";

export const release = verb({
  usage: "release <repository> <environment>",
  summary: "after a rollback: let what is newer go again",
  examples: ["toroid release acme/api prod"],
  flags: [{ flags: "--reason <text>", about: "why, for the record" }],
  options: z.object({ reason: z.string().optional() }),
  async run({ api, json, out }, [repositoryText, environment = ""], body) {
    const path = `${environmentPath(repositoryOf(repositoryText), environment)}/release`;
    const now = await api().post(path, body, environmentSummary);
    await out(json ? `${JSON.stringify(now)}\n` : `${environmentLine(now)}\n`);
    return EXIT.ok;
  },
});
