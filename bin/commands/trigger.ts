import { z } from "zod";
import { formatBuild } from "../../protocol/ids.ts";
import { buildPath } from "../api.ts";
import { EXIT, usageError } from "../exit.ts";
import { accepted } from "../shapes.ts";
import { countOf, paramsOf, repositoryOf } from "../text/arguments.ts";
import { verb } from "../verb.ts";

export const trigger = verb({
  usage: "trigger <repository> [ref]",
  summary: "build a branch or tag now; or run an environment of a build again",
  examples: [
    "toroid trigger acme/api main",
    "toroid trigger acme/api --build 42 --environment prod -p REGION=eu-west-1",
  ],
  flags: [
    { flags: "--build <number>", about: "the build whose environment is wanted" },
    { flags: "--environment <name>", about: "which of its environments" },
    { flags: "-p, --param <NAME=value>", about: "a variable for the script; may be given again", many: true },
    { flags: "--remote <url>", about: "where to fetch a repository that has not pushed yet" },
  ],
  options: z.object({
    build: z.string().optional(),
    environment: z.string().optional(),
    param: z.array(z.string()).default([]),
    remote: z.string().optional(),
  }),
  async run({ api, json, out }, [repositoryText, ref], { build, environment, param, remote }) {
    const repository = repositoryOf(repositoryText);
    const params = paramsOf(param);
    if (build === undefined) {
      if (ref === undefined) throw usageError("name a ref to build, or --build and --environment");
      if (environment !== undefined) throw usageError("--environment needs --build: which build to run there");
      const body = {
        repository,
        ref,
        params,
        ...(remote === undefined ? {} : { remote: { https: remote, ssh: null } }),
      };
      const made = await api().post("api/v1/builds", body, accepted);
      await out(json ? `${JSON.stringify(made)}\n` : `${formatBuild(made)}\n`);
      return EXIT.ok;
    }
    if (ref !== undefined || remote !== undefined) throw usageError("a build has its ref already: name it or --build");
    if (environment === undefined) throw usageError("--build needs --environment: where to run it");
    const id = { repository, number: countOf("--build", build) };
    const path = `${buildPath(id)}/environments/${encodeURIComponent(environment)}`;
    const made = await api().post(path, { params }, z.looseObject({}));
    await out(json ? `${JSON.stringify(made)}\n` : `${formatBuild(id)} ${environment}\n`);
    return EXIT.ok;
  },
});
