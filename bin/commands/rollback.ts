import { z } from "zod";
import { formatBuild } from "../../protocol/ids.ts";
import { environmentPath } from "../api.ts";
import { EXIT } from "../exit.ts";
import { deployment } from "../shapes.ts";
import { numberIn, repositoryOf } from "../text/arguments.ts";
import { verb } from "../verb.ts";

export const rollback = verb({
  usage: "rollback <repository> <environment>",
  summary: "put back what was live before, and hold the environment for everything newer until it is released",
  examples: [
    'toroid rollback acme/api prod --reason "slow since #42"',
    'toroid rollback acme/api prod --to 40 --reason "slow since #41"',
  ],
  flags: [
    { flags: "--reason <text>", about: "why; everybody sees it (required)" },
    { flags: "--to <build>", about: "a build: acme/api#40 or 40 (what was live before)" },
  ],
  options: z.object({
    reason: z.string("--reason is missing: say why, for whoever wonders").trim().min(1, "--reason is empty"),
    to: z.string().optional(),
  }),
  async run({ api, json, out, err }, [repositoryText, environment = ""], { reason, to }) {
    const repository = repositoryOf(repositoryText);
    const path = `${environmentPath(repository, environment)}/rollback`;
    const body = { reason, ...(to === undefined ? {} : { build: numberIn(repository, "--to", to) }) };
    const made = await api().post(path, body, deployment);
    await out(json ? `${JSON.stringify(made)}\n` : `${formatBuild(made)} ${made.environment}\n`);
    err(`toroid: what is newer waits until: toroid release ${repository} ${environment}`);
    return EXIT.ok;
  },
});
