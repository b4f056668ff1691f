/**
 * Who of GitHub has which role, as the operator writes it in TOROID_ROLES: `@ada admin; acme read; acme/dev operate
 * acme/site acme/blog-*`. One list says who may sign in and what they may do; whoever is not in it is not let in. Pure.
 */
import { type Account, tokenScope } from "../../protocol/access.ts";
import { patternProblem } from "../../protocol/pipeline/glob.ts";
import type { Grant } from "./principal.ts";

export interface Role extends Grant {
  /** `@ada`, `acme`, `acme/dev`; in lower case, as GitHub compares them. */
  readonly who: string;
}

const WHO = /^(@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\/[a-z0-9._-]+)?)$/;

/** The roles, or what is wrong with `text`. */
export function parseRoles(text: string): readonly Role[] | { readonly problem: string } {
  const roles: Role[] = [];
  for (const line of text.split(/[;\n]/).map((part) => part.trim())) {
    if (line === "") continue;
    const [who = "", role = "", ...repositories] = line.split(/\s+/);
    if (!WHO.test(who.toLowerCase()))
      return { problem: `${JSON.stringify(who)} is no @user, organization or org/team` };
    const scope = tokenScope.safeParse(role);
    if (!scope.success) return { problem: `the role of ${who} is ${JSON.stringify(role)}, not read, operate or admin` };
    for (const repository of repositories) {
      const problem = /^[^/]+\/.+$/.test(repository) ? patternProblem(repository) : "expected owner/name or owner/*";
      if (problem !== null) return { problem: `repository ${JSON.stringify(repository)} of ${who}: ${problem}` };
    }
    roles.push({
      who: who.toLowerCase(),
      scope: scope.data,
      repositories: repositories.length > 0 ? repositories : null,
    });
  }
  return roles.length > 0 ? roles : { problem: "it names nobody: `@ada admin; acme read`" };
}

/** What somebody may do by all that is said of them; nothing: they are not let in. */
export function rolesOf(roles: readonly Role[], account: Account): readonly Grant[] {
  const names = new Set(
    [`@${account.login}`, ...account.organizations, ...account.teams].map((name) => name.toLowerCase()),
  );
  return roles.filter(({ who }) => names.has(who));
}
