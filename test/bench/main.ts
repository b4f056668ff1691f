/**
 * `npm run bench -- NAME… [--json]`: measures, never judges. With `--json`, a line of JSON for each as the last lines.
 */
import { parseArgs } from "node:util";
import { benchImages } from "./images.ts";
import { benchPath } from "./path.ts";
import { type Report, table } from "./report.ts";
import { benchSandbox } from "./sandbox.ts";
import { benchScheduler } from "./scheduler.ts";
import { benchWeb } from "./web.ts";

const BENCHES: Readonly<Record<string, () => Promise<Report>>> = {
  path: benchPath,
  images: benchImages,
  scheduler: benchScheduler,
  sandbox: benchSandbox,
  web: benchWeb,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean", default: false } },
});
const names = positionals.length === 0 ? Object.keys(BENCHES) : positionals;
for (const name of names) {
  const bench = BENCHES[name];
  if (bench === undefined) {
    console.error(`bench: there is no benchmark ${name}; there is ${Object.keys(BENCHES).join(", ")}`);
    process.exitCode = 2;
    break;
  }
  const report = await bench();
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : table(report));
}
