/** A process that begins to fetch a nats-server into the directory it is given, and never ends. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findNatsServer } from "../../kit/nats-server.ts";

const [cacheDir = ""] = process.argv.slice(2);
await findNatsServer(cacheDir, () => undefined, [
  {
    name: "hanging",
    async fetch(into) {
      await writeFile(join(into, "half"), "of a server");
      console.log("fetching");
      return new Promise(() => setInterval(() => undefined, 1_000));
    },
  },
]);
