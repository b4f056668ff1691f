import { z } from "zod";
import { environmentSummary } from "../../protocol/summary.ts";
import { environmentPath } from "../api.ts";
import { EXIT } from "../exit.ts";
import { repositoriesOf } from "../text/arguments.ts";
import { environmentLine } from "../text/environment.ts";
import { verb } from "../verb.ts";

export const resume = verb({
  usage: "resume <repository> <environment>",
  summary: "let a paused environment go on, with what waits there",
  examples: ["toroid resume acme/api prod"],
  flags: [{ flags: "--reason <text>", about: "why, for the record" }],
  options: z.object({ reason: z.string().optional() }),
  async run({ api, json, out }, [repositoryText, environment = ""], body) {
    const path = `${environmentPath(repositoriesOf(repositoryText), environment)}/resume`;
    const now = await api().post(path, body, environmentSummary);
    await out(json ? `${JSON.stringify(now)}\n` : `${environmentLine(now)}\n`);
    return EXIT.ok;
  },
});
