import { z } from "zod";
import { targetList } from "../../protocol/delivery.ts";
import { sentenceOf } from "../../protocol/errors.ts";
import { EXIT, exitOf } from "../exit.ts";
import { health } from "../shapes.ts";
import { coloured, oneLine, table } from "../text/output.ts";
import { type Context, verb } from "../verb.ts";

const NODE_LEAST = 24;

interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly says: string;
  /** Of the process, when it is not ok. */
  readonly exit: number;
}

export const doctor = verb({
  usage: "doctor",
  summary: "check what this machine and the coordinator need to work",
  examples: ["toroid doctor", "sudo toroid doctor --executor"],
  flags: [{ flags: "--executor", about: "also what an executor needs on this machine, by trying it" }],
  options: z.object({ executor: z.boolean().default(false) }),
  async run(context, _args, options) {
    const findings = [node(), ...(options.executor ? await host(context) : []), ...(await server(context))];
    if (context.json)
      await context.out(
        `${JSON.stringify({ findings: findings.map(({ what, ok, says }) => ({ what, ok, says })) })}\n`,
      );
    else await context.out(table(findings.map((f) => [mark(f.ok, context.colours), f.what, oneLine(f.says, 700)])));
    return findings.find((f) => !f.ok)?.exit ?? EXIT.ok;
  },
});

function node(): Finding {
  const ok = Number(process.versions.node.split(".")[0]) >= NODE_LEAST;
  const says = ok ? process.versions.node : `${process.versions.node} is too old: Toroid needs ${NODE_LEAST} or newer`;
  return { what: "node", ok, says, exit: EXIT.usage };
}

async function host({ environment }: Context): Promise<readonly Finding[]> {
  const [{ configFrom }, { examineHost }] = await Promise.all([
    import("../../executor/config.ts"),
    import("../../executor/doctor.ts"),
  ]);
  return (await examineHost(configFrom(environment))).map((finding) => ({ ...finding, exit: EXIT.usage }));
}

async function server(context: Context): Promise<readonly Finding[]> {
  const coordinator = context.api();
  const ask = async (path: string): Promise<string> => (await coordinator.get(path, health)).status;
  const alive = await probe("coordinator", async () => `${await ask("healthz")} at ${coordinator.url}`);
  if (!alive.ok) return [alive];
  const stored: Finding[] = [];
  const parts = await probe("its parts", async () => {
    const { status, store } = await coordinator.get("readyz", health);
    if (store !== undefined) stored.push({ what: "its store", ok: store.ok, says: store.says, exit: EXIT.server });
    return status;
  });
  return [alive, parts, ...stored, ...(await whoIsNotified(context))];
}

/** Each target that the operator named, and what its notifications lack. */
async function whoIsNotified({ api }: Context): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const asked = await probe("notifications", async () => {
    const { targets } = await api().get("api/v1/targets", targetList);
    for (const { name, channel, where, says, waiting } of targets) {
      const queue = waiting === 0 ? "" : `; ${waiting} wait`;
      const missing = says === "" ? "" : `; ${says}`;
      findings.push({
        what: `target ${name}`,
        ok: true,
        says: `${channel}, ${where}${queue}${missing}`,
        exit: EXIT.ok,
      });
    }
    return targets.length === 0 ? "nobody is notified (TOROID_NOTIFY)" : `${targets.length} targets`;
  });
  // A check of the machine by who is not signed in finds nothing wrong with it.
  if (asked.exit === EXIT.auth) return [{ ...asked, ok: true, exit: EXIT.ok }];
  return [asked, ...findings];
}

async function probe(what: string, ask: () => Promise<string>): Promise<Finding> {
  try {
    return { what, ok: true, says: await ask(), exit: EXIT.ok };
  } catch (error) {
    return { what, ok: false, says: sentenceOf(error), exit: exitOf(error) };
  }
}

function mark(ok: boolean, colours: boolean): string {
  return ok
    ? coloured("passed", colours).replace("passed", "ok")
    : coloured("failed", colours).replace("failed", "FAIL");
}
