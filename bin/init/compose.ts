/** The files that `toroid init` writes. Pure: text. */

export interface Wanted {
  readonly kind: "library" | "application";
  readonly install: readonly string[];
  readonly script: readonly string[];
  readonly environments: readonly string[];
  readonly entrypoint: string;
  /** Its image is what `.packer` makes. */
  readonly packer: boolean;
}

export function pipelineText({ kind, install, script, environments, entrypoint, packer }: Wanted): string {
  const lines = ["# What Toroid runs for a push. `toroid lint` checks this file, `toroid run` runs it here."];
  if (kind === "application") lines.push("kind: application");
  if (packer) lines.push("image: { packer: .packer }   # what this Packer template makes, once");
  lines.push(...commands("install", install), ...commands("script", script));
  if (environments.length > 0) {
    lines.push(`entrypoint: ${scalar(entrypoint)}   # called as: ${entrypoint} <environment>`, "environments:");
    const last = environments.length - 1;
    // Nobody wants the last one deployed to before they have seen the first.
    lines.push(...environments.map((name, i) => (i === last ? `  ${name}: { approval: {} }` : `  ${name}:`)));
  }
  return `${lines.join("\n")}\n`;
}

export function entrypointText(entrypoint: string): string {
  return `#!/bin/sh
# Deploys this commit to the environment that it is called with: ${entrypoint} <environment>. To exit with 0 says that it is
# there; TOROID_COMMIT, TOROID_ARTIFACT and others tell what to deploy.
set -eu
environment=$1
echo "${entrypoint} does not say yet how \${TOROID_COMMIT:-this commit} gets to $environment" >&2
exit 1
`;
}

export function commands(key: string, lines: readonly string[]): readonly string[] {
  const [only] = lines;
  if (only === undefined) return [];
  return lines.length === 1 ? [`${key}: ${scalar(only)}`] : [`${key}:`, ...lines.map((line) => `  - ${scalar(line)}`)];
}

/** Text that YAML reads as that text. */
export function scalar(text: string): string {
  const isPlain = /^[A-Za-z./][\w ./@+=,-]*$/.test(text) && !text.endsWith(" ");
  const isWord = /^(y|yes|n|no|true|false|on|off|null|~|\.nan|\.inf)$/i.test(text);
  return isPlain && !isWord ? text : JSON.stringify(text);
}
