import { z } from "zod";
import { EXIT } from "../exit.ts";
import { executorList } from "../shapes.ts";
import { executorTable } from "../text/executors.ts";
import { verb } from "../verb.ts";

export const executors = verb({
  usage: "executors",
  summary: "the executors that are there: what each has to do, and which take nothing new, and why",
  examples: ["toroid executors"],
  flags: [],
  options: z.object({}),
  async run({ api, json, out, err }) {
    const list = await api().get("api/v1/executors", executorList);
    if (json) await out(`${JSON.stringify(list)}\n`);
    else if (list.executors.length > 0) await out(executorTable(list.executors, Date.now()));
    else err("no executor is there");
    return EXIT.ok;
  },
});
