import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";

const CACHE = join(import.meta.dirname, "..", "..", ".toroid", "cache");

/** Programs with other names, or another home than PATH. The variable comes first. */
const KNOWN: Readonly<Record<string, { variable?: string; names?: readonly string[]; cached?: string }>> = {
  nats: { variable: "TOROID_NATS_CLI", cached: "nats-cli/nats" },
  "packer-1.9.4": { variable: "TOROID_PACKER_194", cached: "packer-1.9.4/packer" },
  // The system's may be of any version, or a shim that does nothing.
  aws: { variable: "TOROID_AWS_CLI", names: [], cached: "python-moto-5.2.1/aws" },
  moto_server: { variable: "TOROID_MOTO_SERVER", names: [], cached: "python-moto-5.2.1/moto_server" },
  chromium: { variable: "TOROID_CHROMIUM", names: ["chromium", "chromium-browser", "google-chrome"] },
};

/** Where the program lies: in its variable, on PATH, or in the project's cache; undefined when it is nowhere. */
export function programPath(name: string): string | undefined {
  const { variable, names = [name], cached } = KNOWN[name] ?? {};
  const named = variable === undefined ? undefined : process.env[variable];
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const onPath = names.flatMap((candidate) => folders.map((folder) => join(folder, candidate)));
  const candidates = [named ?? "", ...onPath, cached === undefined ? "" : join(CACHE, cached)];
  return candidates.find((path) => path !== "" && isExecutable(path));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
