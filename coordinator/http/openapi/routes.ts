import fastifySwagger from "@fastify/swagger";
import fastifySwaggerUi from "@fastify/swagger-ui";
import type { FastifyInstance } from "fastify";
import { packageVersion } from "../../../kit/version.ts";
import { openToAll } from "../access.ts";
import { describeRoute } from "./describe.ts";

const READER = "/api/docs";

/** The one style that the reader has in its code, and for which alone its policy differs from that of the page. */
const READER_STYLE = "sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w=";

/** The page's policy, with that style. */
export function readerPolicy(policy: string): string {
  return policy.replace("style-src 'self'", `style-src 'self' '${READER_STYLE}'`);
}

export function isReader(url: string): boolean {
  return url === READER || url.startsWith(`${READER}/`);
}

/** Has every route that is registered from now on described, in OpenAPI 3.1, by the schemas that it checks with. */
export async function describeApi(app: FastifyInstance): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Toroid",
        description: "Pushes become builds, and builds go into environments, in order. Errors have a code that stays.",
        version: packageVersion(),
        license: { name: "MIT", identifier: "MIT" },
      },
      servers: [{ url: "/", description: "this coordinator" }],
      components: {
        securitySchemes: {
          token: { type: "http", scheme: "bearer", description: "a token: `toroid token create`" },
          session: { type: "apiKey", in: "cookie", name: "toroid_session", description: "of people who signed in" },
        },
      },
    },
    transform: describeRoute,
  });
}

/** The description, and a page to read it in. */
export async function descriptionRoutes(app: FastifyInstance): Promise<void> {
  let text: string | null = null;
  app.get("/api/openapi.json", { config: { needs: "nothing" } }, (_request, reply) => {
    text ??= JSON.stringify(app.swagger());
    return reply.type("application/json; charset=utf-8").send(text);
  });
  await app.register(async (scope) => {
    openToAll(scope);
    await scope.register(fastifySwaggerUi, {
      routePrefix: READER,
      uiConfig: { url: "/api/openapi.json", validatorUrl: null, deepLinking: true, docExpansion: "list" },
      staticCSP: false,
    });
  });
}
