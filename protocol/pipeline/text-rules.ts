/** The small grammars of names and paths that the schema and the files a script leaves behind share. */

export const ENVIRONMENT_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/;
export const ENVIRONMENT_NAME_RULE = "a letter, then letters, digits, `-` or `_`, 63 at most";

/** Words that mean something else where an environment is named. */
export const RESERVED_ENVIRONMENTS: readonly string[] = ["all", "any", "build", "none"];

export const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
export const VARIABLE_NAME_RULE = "a letter or `_`, then letters, digits or `_`";

/** Set by Toroid for every script; a file cannot say otherwise. */
export function isReservedVariable(name: string): boolean {
  return name === "CI" || name === "TOROID" || name.startsWith("TOROID_");
}

/** What is wrong with the name of a variable that a person chose, or null. */
export function variableProblem(name: string): string | null {
  if (!VARIABLE_NAME.test(name) || name === "__proto__")
    return `\`${clip(name)}\` is no name for a variable: ${VARIABLE_NAME_RULE}`;
  if (isReservedVariable(name)) return `\`${clip(name)}\` is set by Toroid`;
  return null;
}

/** What is wrong with the name of an environment, or null. */
export function environmentProblem(name: string): string | null {
  if (!ENVIRONMENT_NAME.test(name)) return `\`${clip(name)}\` is no name for an environment: ${ENVIRONMENT_NAME_RULE}`;
  if (RESERVED_ENVIRONMENTS.includes(name.toLowerCase()))
    return `\`${name}\` is reserved and cannot name an environment`;
  return null;
}

/** What is wrong with a path that has to stay in the checkout, or null. */
export function checkoutPathProblem(path: string): string | null {
  if (path === "" || path.includes("\0")) return "a path cannot be empty";
  if (path.startsWith("/") || path.startsWith("~")) return "expected a path inside the checkout, found an absolute one";
  if (path.split("/").includes("..")) return "a path cannot leave the checkout with `..`";
  return null;
}

/** What is wrong with the name of an image, or null; asked again once `${NAME}` is filled in. */
export function imageNameProblem(name: string): string | null {
  if (/^[A-Za-z0-9](?:[A-Za-z0-9._-]|\$\{\w+\})*$|^\$\{\w+\}(?:[A-Za-z0-9._-]|\$\{\w+\})*$/.test(name)) return null;
  if (name.trim() === "") return "the name of an image cannot be empty";
  if (/^[.~/]/.test(name))
    return "expected the name of an image, found a path; write `{ directory: … }` or `{ tar: … }`";
  if (/[/:@]/.test(name)) return "expected the name of an image, found a reference; write `{ oci: … }`";
  return "expected the name of an image: letters, digits, `.`, `_` and `-`";
}

/** What is wrong with the name of a suite of Debian, or null; asked once `${NAME}` is filled in. */
export function suiteProblem(suite: string): string | null {
  if (/^[a-z][a-z0-9-]{0,63}$/.test(suite)) return null;
  return `\`${clip(suite)}\` is no suite of Debian: expected a name such as \`bookworm\``;
}

/** What is wrong with the name of a package of Debian, or null. */
export function packageProblem(name: string): string | null {
  if (/^[a-z0-9][a-z0-9+.-]{1,127}$/.test(name)) return null;
  return `\`${clip(name)}\` is no package of Debian: expected a name such as \`build-essential\``;
}

/** A label of an executor, such as `gpu` or `arch=arm64`; `${NAME}` may stand in it until it is filled in. */
const LABEL = /^(?:[A-Za-z0-9]|\$\{\w+\})(?:[A-Za-z0-9._=/+-]|\$\{\w+\})*$/;

/** What is wrong with a label, or null. */
export function labelProblem(label: string): string | null {
  if (label.length > 48) return "a label can have 48 characters at most";
  if (LABEL.test(label)) return null;
  return "expected a label such as `gpu` or `arch=arm64`: letters, digits and `.` `_` `=` `/` `+` `-`";
}

/** What is wrong with the name of a pool, or null. */
export function poolProblem(name: string): string | null {
  if (name.trim() === "") return "the name of a pool cannot be empty";
  if (name.length > 64) return "the name of a pool can have 64 characters at most";
  return name === printable(name) ? null : "the name of a pool cannot have control characters";
}

/** Short and printable, for messages. */
export function clip(text: string, max = 60): string {
  const flat = printable(text);
  return flat.length <= max ? flat : `${flat.slice(0, max - 1)}…`;
}

/** `text` with every control and direction-changing character replaced, so that it can go to a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/(?!\t)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\ufffd");
}
