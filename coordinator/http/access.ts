/**
 * Who asks, and whether they may: decided before a route hears of it. A route says in its `config` what it needs; one
 * that says nothing keeps the coordinator from starting.
 */
import type { FastifyInstance, FastifyRequest, RouteOptions } from "fastify";
import { ToroidError } from "../../protocol/errors.ts";
import { EVERY } from "../../protocol/ids.ts";
import {
  localPrincipal,
  type Need,
  type Principal,
  reaches,
  type Scope,
  scopeOn,
  widestScope,
} from "../access/principal.ts";
import { principalOf, saidUser } from "./user.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Null until it is known who asks. */
    principal: Principal | null;
  }
  interface FastifyContextConfig {
    /** Of the repository in the path, where there is one; `nothing` is open to everybody. */
    needs?: Need;
    /** The repository is named by the body instead. */
    repositoryIn?: "body";
    /** What the record of changes calls it; otherwise its method and path. */
    action?: string;
    /** Recorded although it is a GET. */
    recorded?: boolean;
    /** It goes on for long, and ends when whoever it goes to is let in no more. */
    streams?: boolean;
  }
}

/** Says who asks, or throws why that cannot be said. */
export type Identify = (request: FastifyRequest) => Principal | Promise<Principal>;

const LOCAL = localPrincipal(saidUser({}));

/** For a coordinator without sign-in: everybody may do everything, in the name that they give. */
export const identifyLocal: Identify = ({ headers }) =>
  headers["toroid-user"] === undefined ? LOCAL : localPrincipal(saidUser(headers));

export function guardRoutes(app: FastifyInstance, identify: Identify): void {
  app.decorateRequest("principal", null);
  const routes: RouteOptions[] = [];
  app.addHook("onRoute", (route) => void routes.push(route));
  app.addHook("onReady", async () => refuseUndeclared(routes));
  function decide(request: FastifyRequest, principal: Principal): void {
    request.principal = principal;
    const { needs, repositoryIn } = request.routeOptions.config;
    if (request.is404 || needs === "nothing") return;
    if (needs === undefined) throw new ToroidError("TOR_INTERNAL", `${request.url} does not say what it needs`);
    if (repositoryIn !== undefined) refuseUnless(principal, widestScope(principal), needs, "anything here");
    else refuseWithout(principal, needs, pathRepository(request.params));
  }
  // A promise only where something has to be waited for: most requests need none.
  app.addHook("onRequest", (request, _reply, done) => {
    const principal = identify(request);
    if (principal instanceof Promise) return principal.then((known) => decide(request, known));
    decide(request, principal);
    done();
    return undefined;
  });
  app.addHook("preHandler", (request, _reply, done) => {
    const { needs = "admin", repositoryIn } = request.routeOptions.config;
    if (repositoryIn !== undefined) refuseWithout(principalOf(request.principal), needs, bodyRepository(request.body));
    done();
  });
}

/** @throws {Error} for a program that has a route which says not what it needs */
function refuseUndeclared(routes: readonly RouteOptions[]): void {
  const silent = routes.filter(({ config }) => config?.needs === undefined).map(({ url }) => url);
  if (silent.length > 0) throw new Error(`routes without \`needs\`: ${[...new Set(silent)].join(", ")}`);
}

/** Routes that are registered below `scope` are open to everybody: the files of the page. */
export function openToAll(scope: FastifyInstance): void {
  scope.addHook("onRoute", (route) => {
    route.config = { ...route.config, needs: "nothing" };
  });
}

function refuseWithout(principal: Principal, needs: Need, repository: string | null | undefined): void {
  if (repository === undefined) {
    // What belongs to no repository may be looked at by whoever may look at one, and be changed by who may change all.
    const scope = needs === "read" ? widestScope(principal) : scopeOn(principal, null);
    refuseUnless(principal, scope, needs, "what belongs to no repository");
  } else refuseUnless(principal, scopeOn(principal, repository), needs, repository ?? "all repositories");
}

function refuseUnless(principal: Principal, scope: Scope, needs: Need, what: string): void {
  if (reaches(scope, needs)) return;
  const { name, kind } = principal;
  if (kind === "nobody") {
    throw new ToroidError("TOR_SIGNED_OUT", "sign in first, or send a token: `Authorization: Bearer trd_…`");
  }
  throw new ToroidError("TOR_NOT_ALLOWED", `${name} has not the role \`${needs}\` for ${what}, but \`${scope}\``);
}

/** Null: all of them; undefined: it is about none. */
export function pathRepository(params: unknown): string | null | undefined {
  if (typeof params !== "object" || params === null || !("owner" in params) || !("repo" in params)) return undefined;
  const { owner, repo } = params;
  return owner === EVERY && repo === EVERY ? null : `${String(owner)}/${String(repo)}`;
}

export function bodyRepository(body: unknown): string | null {
  const named = typeof body === "object" && body !== null && "repository" in body ? body.repository : null;
  return typeof named === "string" ? named : null;
}
