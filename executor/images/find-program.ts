/** Programs that operators install, and that an executor can do without. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import { ToroidError } from "../../protocol/errors.ts";

/**
 * Where `program` is, or null when this host has none.
 *
 * @param o `named`: by the operator, in `variable`; null: on `path`
 * @throws {ToroidError} TOR_CONFIG_INVALID when what is named is not there
 */
export async function findProgram(
  program: string,
  o: { readonly named: string | null; readonly variable: string; readonly path: string },
): Promise<string | null> {
  if (o.named !== null) {
    if (await isProgram(o.named)) return o.named;
    throw new ToroidError("TOR_CONFIG_INVALID", `${o.variable} is ${o.named}, and there is no program`);
  }
  for (const dir of o.path.split(delimiter)) {
    if (isAbsolute(dir) && (await isProgram(join(dir, program)))) return join(dir, program);
  }
  return null;
}

async function isProgram(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  if (found === null || !found.isFile()) return false;
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
