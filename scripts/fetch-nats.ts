/** Makes sure that a nats-server is here: what `scripts/setup` calls. Prints nothing when one is. */
import { join } from "node:path";
import { findNatsServer } from "../kit/nats-server.ts";
import { sentenceOf } from "../protocol/errors.ts";

try {
  await findNatsServer(join(import.meta.dirname, "..", ".toroid", "cache"), (line) => console.log(`setup: ${line}`));
} catch (error) {
  console.error(`setup: ${sentenceOf(error)}`);
  process.exitCode = 1;
}
