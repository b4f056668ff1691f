/** For an executor that is started with it: nothing fences it. What it reports is stored, whoever holds the stage. */
import { replaceModules } from "./replace.ts";

replaceModules({
  "kit/jetstream.ts": new URL("unfenced/jetstream.ts", import.meta.url),
  "executor/holding.ts": new URL("unfenced/holding.ts", import.meta.url),
});
