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

/** Short and printable, for messages. */
export function clip(text: string, max = 60): string {
  const flat = printable(text);
  return flat.length <= max ? flat : `${flat.slice(0, max - 1)}…`;
}

/** `text` with every control and direction-changing character replaced, so that it can go to a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/(?!\t)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\ufffd");
}
