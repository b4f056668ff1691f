import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Presence } from "../../protocol/commands.ts";
import { EXIT, Failure } from "../exit.ts";
import { executorList } from "../shapes.ts";
import { executorLine } from "../text/executors.ts";
import { verb } from "../verb.ts";

/** An executor looks every two seconds. */
const HEARD_MS = 15_000;
const LOOK_MS = 250;

export const drain = verb({
  usage: "drain <executor>",
  summary: "have an executor take nothing new and finish what it has; it stays, until it is stopped or taken back",
  examples: [
    'toroid drain build-7-1f0c9a3e --reason "new kernel"',
    "toroid drain build-7                      (all executors of that host)",
    "toroid drain build-7 --undo",
  ],
  flags: [
    { flags: "--reason <text>", about: "why; everybody sees it" },
    { flags: "--undo", about: "let it take work again" },
  ],
  options: z.object({ reason: z.string().default(""), undo: z.boolean().default(false) }),
  async run({ api, json, out }, [name = ""], { reason, undo }) {
    const path = `api/v1/executors/${encodeURIComponent(name)}/${undo ? "undrain" : "drain"}`;
    const asked = await api().post(path, undo ? {} : { reason }, executorList);
    const ids = new Set(asked.executors.map(({ id }) => id));
    const list = (): Promise<readonly Presence[]> =>
      api()
        .get("api/v1/executors", executorList)
        .then(({ executors }) => executors.filter(({ id }) => ids.has(id)));
    const late = performance.now() + HEARD_MS;
    let now = await list();
    while (now.some(({ draining }) => draining === undo)) {
      if (performance.now() > late) {
        throw new Failure(
          EXIT.server,
          "TOR_SERVER_UNREACHABLE",
          `${name} was asked, and has not said that it heard: see \`toroid executors\``,
        );
      }
      await sleep(LOOK_MS);
      now = await list();
    }
    await out(json ? `${JSON.stringify({ executors: now })}\n` : now.map((one) => `${executorLine(one)}\n`).join(""));
    return EXIT.ok;
  },
});
