import { z } from "zod";
import { AMI_ID } from "../../protocol/ami.ts";
import { type AmiSummary, amiList, clearing } from "../../protocol/ami-summary.ts";
import { formatBuild, parseBuild } from "../../protocol/ids.ts";
import { EXIT, Failure, usageError } from "../exit.ts";
import { amiReport, amiTable, clearingReport } from "../text/amis.ts";
import { repositoryOf } from "../text/arguments.ts";
import { type Context, verb } from "../verb.ts";

export const amiLs = verb({
  usage: "ami ls [repository]",
  summary: "the AMIs that were baked: of which build, in which regions, where they are live, and which are to go",
  examples: ["toroid ami ls", "toroid ami ls acme/api"],
  flags: [],
  options: z.object({}),
  async run({ api, json, out, err }, [repository]) {
    const query = repository === undefined ? {} : { repository: repositoryOf(repository) };
    const { amis } = await api().get(`api/v1/amis?${new URLSearchParams(query).toString()}`, amiList);
    if (json) await out(`${JSON.stringify({ amis })}\n`);
    else if (amis.length > 0) await out(amiTable(amis, Date.now()));
    else err(repository === undefined ? "no AMI is there" : `no AMI of ${repository} is there`);
    return EXIT.ok;
  },
});

export const amiShow = verb({
  usage: "ami show <ami|build>",
  summary: "who made an AMI, when and of what, where it is, and why it stays or goes",
  examples: ["toroid ami show ami-0123456789abcdef0", "toroid ami show acme/api#42"],
  flags: [],
  options: z.object({}),
  async run(context, [what = ""]) {
    const amis = await amisOf(context, what);
    if (context.json) await context.out(`${JSON.stringify({ amis })}\n`);
    else await context.out(amis.map((one) => amiReport(one)).join("\n"));
    return EXIT.ok;
  },
});

export const amiGc = verb({
  usage: "ami gc",
  summary: "remove what interrupted bakes left, and AMIs that nothing needs and that are not to be kept",
  more: "Coordinators do the same every few minutes. What they keep: TOROID_AMI_KEEP, TOROID_AMI_KEEP_DAYS.",
  examples: ["toroid ami gc --dry-run"],
  flags: [{ flags: "--dry-run", about: "only say what would go, and why each other stays" }],
  options: z.object({ dryRun: z.boolean().default(false) }),
  async run({ api, json, out }, _args, { dryRun }) {
    const report = await api().post("api/v1/amis/gc", { dryRun }, clearing);
    await out(json ? `${JSON.stringify(report)}\n` : clearingReport(report));
    return report.failed.length > 0 ? EXIT.failed : EXIT.ok;
  },
});

async function amisOf({ api }: Context, what: string): Promise<readonly AmiSummary[]> {
  const build = parseBuild(what);
  if (build === null && !AMI_ID.test(what))
    throw usageError(`${JSON.stringify(what)} is neither an AMI nor a build: expected ami-0123… or owner/name#number`);
  const wish: Record<string, string> =
    build === null ? { id: what } : { repository: build.repository, build: String(build.number) };
  const { amis } = await api().get(`api/v1/amis?${new URLSearchParams(wish).toString()}`, amiList);
  if (amis.length > 0) return amis;
  const missing =
    build === null ? `${what} is not there, or was not baked by this Toroid` : `${formatBuild(build)} has no AMI`;
  throw new Failure(EXIT.notFound, "TOR_NOT_FOUND", missing);
}
