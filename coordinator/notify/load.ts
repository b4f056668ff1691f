import { readFileSync, statSync } from "node:fs";
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";
import { NOBODY, type NotifySettings, notifySettings } from "./settings.ts";

/**
 * Reads the file of TOROID_NOTIFY and those that it names; without one nobody is notified.
 *
 * @throws {ToroidError} TOR_CONFIG_INVALID
 */
export function loadNotifySettings(path: string | null): NotifySettings {
  if (path === null) return NOBODY;
  return notifySettings(path, readSecret(path), readSecret);
}

/** There are secrets in it, so that nobody but its owner and group may read it. */
function readSecret(path: string): string {
  try {
    if ((statSync(path).mode & 0o004) !== 0)
      throw new ToroidError("TOR_CONFIG_INVALID", `${path} can be read by everybody on this host: chmod o-r ${path}`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof ToroidError) throw error;
    throw new ToroidError("TOR_CONFIG_INVALID", `${path} cannot be read (TOROID_NOTIFY): ${sentenceOf(error)}`);
  }
}
