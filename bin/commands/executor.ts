import { z } from "zod";
import { EXIT } from "../exit.ts";
import { verb } from "../verb.ts";

export const executor = verb({
  usage: "executor",
  summary: "run an executor: takes stages and runs them, each in a clean workspace of its own",
  more: "Configured by environment variables, TOROID_NATS_URL and TOROID_SLOTS among them; the manual has them all.",
  flags: [],
  options: z.object({}),
  async run({ environment }) {
    const [{ configFrom }, { runExecutor }, { onSignals }] = await Promise.all([
      import("../../executor/config.ts"),
      import("../../executor/main.ts"),
      import("../../kit/signals.ts"),
    ]);
    const config = configFrom(environment);
    await runExecutor(config, onSignals(config.drainMs));
    return EXIT.ok;
  },
});
