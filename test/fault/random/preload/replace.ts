/** For a process that is started with it: takes other modules in place of some of ours. */
import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const ROOT = join(import.meta.dirname, "..", "..", "..", "..");

/** `modules`: path from the root of the repository → the module in its place, which alone may import the real one. */
export function replaceModules(modules: Readonly<Record<string, URL>>): void {
  const places = new Map(
    Object.entries(modules).map(([path, by]) => [pathToFileURL(join(ROOT, path)).href, by.href] as const),
  );
  const replacements = new Set(places.values());
  registerHooks({
    resolve(specifier, context, next) {
      const found = next(specifier, context);
      const by = places.get(found.url);
      return by === undefined || replacements.has(context.parentURL ?? "") ? found : { ...found, url: by };
    },
  });
}
