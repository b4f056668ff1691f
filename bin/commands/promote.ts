import { z } from "zod";
import { formatBuild } from "../../protocol/ids.ts";
import { environmentPath } from "../api.ts";
import { EXIT } from "../exit.ts";
import { deployment } from "../shapes.ts";
import { buildOf, paramsOf } from "../text/arguments.ts";
import { verb } from "../verb.ts";

export const promote = verb({
  usage: "promote <build> <environment>",
  summary: "put what a build made into an environment, as it is and whatever others it has passed",
  examples: ["toroid promote acme/api#42 prod"],
  flags: [
    { flags: "--reason <text>", about: "why, for the record" },
    { flags: "-p, --param <NAME=value>", about: "a variable for the script; may be given again", many: true },
  ],
  options: z.object({ reason: z.string().optional(), param: z.array(z.string()).default([]) }),
  async run({ api, json, out }, [build, environment = ""], { reason, param }) {
    const { repository, number } = buildOf(build);
    const path = `${environmentPath(repository, environment)}/promote`;
    const body = { build: number, params: paramsOf(param), ...(reason === undefined ? {} : { reason }) };
    const made = await api().post(path, body, deployment);
    await out(json ? `${JSON.stringify(made)}\n` : `${formatBuild(made)} ${made.environment}\n`);
    return EXIT.ok;
  },
});
