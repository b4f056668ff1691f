import { type Finding, wrongValue } from "./finding.ts";
import type { Path } from "./problem.ts";
import { didYouMean } from "./suggest.ts";

/** `text` with every `${NAME}` replaced, or a finding for each name that nothing sets. `what` is where it stands. */
export function fillIn(
  text: string,
  path: Path,
  variables: Readonly<Record<string, string>>,
  what = "an image",
): string | { readonly findings: readonly Finding[] } {
  const findings: Finding[] = [];
  const filled = text.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    if (value === undefined) findings.push(unset(name, path, Object.keys(variables), what));
    return value ?? "";
  });
  return findings.length > 0 ? { findings } : filled;
}

function unset(name: string, path: Path, names: readonly string[], what: string): Finding {
  const hint = didYouMean(name, names) ?? `only variables of \`matrix\` and \`env\` can stand in ${what}`;
  return wrongValue(path, `\`\${${name}}\` is not set`, hint);
}
