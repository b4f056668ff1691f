/** One route, as the description of the API tells of it: what it is for, who may, and how it says no. */
import type { SwaggerTransform } from "@fastify/swagger";
import { jsonSchemaTransform } from "fastify-type-provider-zod";
import { z } from "zod";
import { CODES_BY_STATUS } from "../errors.ts";
import { aboutOf } from "./summaries.ts";

type Described = Parameters<SwaggerTransform>[0];

/** Answers that are no JSON. */
const OTHER_TYPES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "/api/v1/events": { "text/event-stream": "server-sent events, until one side ends them" },
  "/metrics": { "text/plain": "one line for each number" },
  "/cc.xml": { "application/xml": "`Projects`" },
  "/badge/:owner/:repo/*": { "image/svg+xml": "a badge" },
  "/api/v1/builds/:owner/:repo/:number/stages/:stage/log": {
    "text/plain": "the bytes that it wrote",
    "text/event-stream": "the same as events",
  },
};

/** The body of an answer with this status, of which only some codes can be. */
function errorBody(codes: readonly string[]): z.ZodType {
  return z.object({
    code: z.enum(codes as [string, ...string[]]),
    message: z.string(),
    details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    docs: z.string(),
    requestId: z.string(),
  });
}

const ERRORS: ReadonlyMap<number, z.ZodType> = new Map(
  [...CODES_BY_STATUS].map(([status, codes]) => [status, errorBody(codes)]),
);

/** Which of the ways to say no a route has. */
function statusesOf({ url, route }: Described): readonly number[] {
  const { needs, streams } = route.config ?? {};
  const isChange = route.method !== "GET" && route.method !== "HEAD";
  return [...ERRORS.keys()].filter((status) => {
    if (status === 401) return needs !== "nothing" || url.startsWith("/auth/");
    if (status === 403) return needs !== "nothing" || isChange;
    if (status === 404) return url.includes(":") || isChange;
    if (status === 409 || status === 410) return isChange || url.endsWith("/config") || url === "/api/v1/amis";
    if (status === 400) return true;
    return url.startsWith("/api/") || url.startsWith("/auth/") || streams === true;
  });
}

export const describeRoute: SwaggerTransform = (document) => {
  const { url, route, schema } = document;
  const method = String(route.method);
  const about = aboutOf(method, url);
  if (about === null || schema?.hide === true) return { schema: { ...schema, hide: true }, url };
  const { needs } = route.config ?? {};
  const said = (schema?.response ?? {}) as Readonly<Record<string, unknown>>;
  const errors = Object.fromEntries(statusesOf(document).map((status) => [status, ERRORS.get(status)]));
  const answers = url in OTHER_TYPES || Object.keys(said).length > 0 ? {} : { 200: z.unknown() };
  const response = { ...errors, ...answers, ...said };
  const whole = jsonSchemaTransform({ ...document, schema: { ...schema, response } });
  const described = whole.schema as Record<string, unknown>;
  const stream = OTHER_TYPES[url];
  if (stream !== undefined) described["response"] = { ...(described["response"] as object), 200: ofTypes(stream) };
  const operation = {
    ...described,
    tags: [about.tag],
    summary: about.summary,
    description: needs === "nothing" ? "Open to everybody." : `Needs the role \`${needs ?? "admin"}\`.`,
    operationId: operationId(method, url),
    security: needs === "nothing" ? [] : [{ token: [] }, { session: [] }],
  };
  return { schema: operation, url };
};

function ofTypes(types: Readonly<Record<string, string>>): object {
  const content = Object.entries(types).map(([type, description]) => [
    type,
    { schema: { type: "string", description } },
  ]);
  return { description: "as its type says", content: Object.fromEntries(content) };
}

/** `GET /api/v1/builds/:owner/:repo/:number` → `getBuildsOwnerRepoNumber` */
function operationId(method: string, url: string): string {
  const words = url
    .replace(/^\/api\/(v1\/)?/, "")
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== "");
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}
