import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { ToroidError } from "../../protocol/errors.ts";
import { type BuildSummary, buildSummary, environmentSummary } from "../../protocol/summary.ts";
import { repositoryName } from "../../protocol/work.ts";
import type { Principal } from "../access/principal.ts";
import { type BuildFilter, buildState, isFilter } from "../projections/build-index.ts";
import { searchBuilds } from "../projections/build-search.ts";
import type { History } from "../projections/history.ts";
import { type Page, type Place, pageOfAll, placeFrom, placeText } from "../projections/pages.ts";
import { explainEnvironment } from "../projections/waiting.ts";
import { explainer, type HttpParts } from "./ports.ts";
import { readableTo } from "./user.ts";

const MAX_PAGE = 100;
/** The newest may have no summary yet. */
const LATEST = 2;

const repositoryList = z.object({
  repositories: z.array(
    z.object({
      repository: z.string(),
      builds: z.number(),
      /** The newest build that there is anything to show of. */
      latest: buildSummary.nullable(),
      environments: z.array(environmentSummary),
    }),
  ),
});
const buildList = z.object({ builds: z.array(buildSummary), next: z.string().nullable() });
const listQuery = z.object({
  repository: repositoryName.optional(),
  branch: z.string().min(1).max(500).optional(),
  state: buildState.optional(),
  /** Of the commit: the whole name, in any case. */
  author: z.string().min(1).max(500).optional(),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(30),
  /** Of one repository, a build's number; of all, the `next` of the page before. */
  before: z.string().min(1).max(500).optional(),
});
type ListQuery = z.infer<typeof listQuery>;

/** Repositories, and builds of one or of all, newest first. */
export function buildListRoutes(plain: FastifyInstance, parts: HttpParts): void {
  const { history, lanes } = parts;
  const explain = explainer(parts);
  const app = plain.withTypeProvider<ZodTypeProvider>();

  /** Whoever wants to read what was made for a build looks at the build. */
  const listed = (summary: BuildSummary): BuildSummary => ({ ...explain(summary), template: null });

  function readableOnes(principal: Principal | null): ReturnType<History["repositories"]> {
    const readable = readableTo(principal);
    const all = history.repositories();
    return readable === null ? all : all.filter((one) => readable(one.repository));
  }

  async function pageOf(query: ListQuery, principal: Principal | null): Promise<Page> {
    const { repository = null, branch = null, state = null, author = null, limit } = query;
    const filter: BuildFilter = { branch, state, author };
    const place = placeOf(query);
    const repositories = readableOnes(principal).filter((one) => repository === null || one.repository === repository);
    if (isFilter(filter)) return searchBuilds(history, repositories, filter, place, limit);
    if (repository === null) return pageOfAll(repositories, (id) => history.build(id), place, limit);
    if (repositories.length === 0) return { builds: [], next: null };
    const builds = await history.page(repository, place?.number ?? Number.MAX_SAFE_INTEGER, limit);
    const last = builds.at(-1);
    return { builds, next: last === undefined || last.number === 1 ? null : last };
  }

  app.get(
    "/api/v1/repositories",
    { config: { needs: "read" }, schema: { response: { 200: repositoryList } } },
    async ({ principal }) => ({
      repositories: await Promise.all(
        readableOnes(principal).map(async (one) => {
          const [latest = null] = await history.page(one.repository, one.builds + 1, LATEST);
          return {
            ...one,
            latest: latest === null ? null : listed(latest),
            environments: lanes.list(one.repository).map(explainEnvironment),
          };
        }),
      ),
    }),
  );

  app.get(
    "/api/v1/builds",
    { config: { needs: "read" }, schema: { querystring: listQuery, response: { 200: buildList } } },
    async ({ query, principal }) => {
      const { builds, next } = await pageOf(query, principal);
      return { builds: builds.map(listed), next: next === null ? null : textOf(next, query) };
    },
  );
}

/** Where the page begins. Of one repository a number is enough. */
function placeOf({ repository, before }: ListQuery): Place | null {
  if (before === undefined) return null;
  if (repository === undefined) {
    const place = placeFrom(before);
    if (place === null) throw badPlace(before, "the `next` of the page before");
    return place;
  }
  if (!/^[1-9][0-9]{0,14}$/.test(before)) throw badPlace(before, "the number of a build");
  return { repository, number: Number(before), createdAtMs: 0 };
}

function textOf(place: Place, { repository }: ListQuery): string {
  return repository === undefined ? placeText(place) : String(place.number);
}

function badPlace(before: string, wanted: string): ToroidError {
  return new ToroidError("TOR_INVALID_INPUT", `before: ${JSON.stringify(before.slice(0, 100))} is not ${wanted}`);
}
