import { z } from "zod";
import type { Presence } from "../../protocol/commands.ts";
import { EXIT, Failure } from "../exit.ts";
import { verb } from "../verb.ts";

export const executor = verb({
  usage: "executor",
  summary: "run an executor: takes stages and runs them, each in a clean workspace of its own",
  more: "Configured by environment variables, TOROID_NATS_URL and TOROID_SLOTS among them; the manual has them all.",
  examples: ["sudo TOROID_NATS_URL=nats://nats-1:4222 toroid executor"],
  flags: [{ flags: "--check", about: "run none: succeed when others see one of this host, for health checks" }],
  options: z.object({ check: z.boolean().default(false) }),
  async run({ environment, json, out }, _args, { check }) {
    const { configFrom } = await import("../../executor/config.ts");
    const config = configFrom(environment);
    if (check) {
      const { seenHere } = await import("../../executor/seen.ts");
      const seen = await seenHere(config);
      if (seen.length === 0) {
        throw new Failure(EXIT.server, "TOR_NOT_FOUND", "no executor of this host says that it lives");
      }
      await out(json ? `${JSON.stringify(seen)}\n` : seen.map(lineOf).join(""));
      return EXIT.ok;
    }
    const [{ runExecutor }, { onSignals }] = await Promise.all([
      import("../../executor/main.ts"),
      import("../../kit/signals.ts"),
    ]);
    await runExecutor(config, onSignals(config.drainMs));
    return EXIT.ok;
  },
});

function lineOf(one: Presence): string {
  return `${one.id} ${one.draining ? "drains" : "lives"}, ${one.busy} of ${one.slots} slots busy\n`;
}
