/** Where a trial keeps its data: here, unless the executor's user could not come here. */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { configFrom } from "../../executor/config.ts";
import { serviceUser } from "../../executor/sandbox.ts";
import { isPlaceFor } from "../../executor/state.ts";

const ELSEWHERE = "/var/lib/toroid/start";

/** Makes it, and says so when it is not below `directory`. */
export async function makePlace(
  directory: string,
  environment: Readonly<Record<string, string | undefined>>,
  say: (line: string) => void,
): Promise<string> {
  const user = serviceUser(configFrom(environment));
  const fits = await isPlaceFor(directory, user);
  const name = createHash("sha256").update(directory).digest("hex").slice(0, 12);
  const place = fits ? join(directory, ".toroid") : join(ELSEWHERE, name);
  if (!fits) say(`its data is in ${place}: builds are run by uid ${user.uid}, who has no business in ${directory}`);
  await mkdir(place, { recursive: true });
  return place;
}
