import { z } from "zod";
import { environmentSummary } from "../../protocol/summary.ts";
import { environmentPath } from "../api.ts";
import { EXIT } from "../exit.ts";
import { repositoriesOf, untilOf } from "../text/arguments.ts";
import { environmentLine } from "../text/environment.ts";
import { verb } from "../verb.ts";

export const pause = verb({
  usage: "pause <repository> <environment>",
  summary: "hold an environment: what runs there finishes, what comes next waits",
  examples: [
    'toroid pause acme/api prod --reason "freeze for the holidays" --until 48h',
    "toroid pause acme/api '*' --reason \"…\"     (all of a repository)",
    "toroid pause '*' prod --reason \"…\"         (of this name everywhere)",
    "toroid pause '*' '*' --reason \"…\"          (everything)",
  ],
  flags: [
    { flags: "--reason <text>", about: "why; everybody sees it (required)" },
    { flags: "--until <when>", about: "resume by itself: a duration (2h, 30m) or an instant" },
  ],
  options: z.object({
    reason: z.string("--reason is missing: say why, for whoever wonders").trim().min(1, "--reason is empty"),
    until: z.string().optional(),
  }),
  async run({ api, json, out }, [repositoryText, environment = ""], { reason, until }) {
    const path = `${environmentPath(repositoriesOf(repositoryText), environment)}/pause`;
    const body = { reason, ...(until === undefined ? {} : { until: untilOf(until, Date.now()) }) };
    const now = await api().post(path, body, environmentSummary);
    await out(json ? `${JSON.stringify(now)}\n` : `${environmentLine(now)}\n`);
    return EXIT.ok;
  },
});
