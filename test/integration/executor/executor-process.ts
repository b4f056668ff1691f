/** An executor as a process of its own, for tests that kill or stop one. */
import { configFrom } from "../../../executor/config.ts";
import { runExecutor } from "../../../executor/main.ts";
import { onSignals } from "../../../kit/signals.ts";

const config = configFrom(process.env);
await runExecutor(config, onSignals(config.drainMs));
process.exit(0);
