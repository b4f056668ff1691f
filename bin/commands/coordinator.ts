import { z } from "zod";
import { EXIT } from "../exit.ts";
import { verb } from "../verb.ts";

export const coordinator = verb({
  usage: "coordinator",
  summary: "run a coordinator: takes pushes, decides what runs next, serves the page and the API",
  more: "Configured by environment variables, TOROID_NATS_URL and TOROID_QUEUE_URL among them; the manual has them all.",
  examples: ["TOROID_NATS_URL=nats://nats-1:4222 toroid coordinator"],
  flags: [],
  options: z.object({}),
  async run({ environment }) {
    const [{ configFrom }, { runCoordinator }, { onSignals, tellParent }] = await Promise.all([
      import("../../coordinator/config.ts"),
      import("../../coordinator/main.ts"),
      import("../../kit/signals.ts"),
    ]);
    await runCoordinator(configFrom(environment), onSignals(), (url) => tellParent({ url }));
    return EXIT.ok;
  },
});
