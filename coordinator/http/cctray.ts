import type { FastifyInstance } from "fastify";
import type { BuildSummary } from "../../protocol/summary.ts";
import { searchBuilds } from "../projections/build-search.ts";
import type { HttpParts } from "./ports.ts";
import { readableTo } from "./user.ts";

const STATUS: Readonly<Record<string, string>> = { passed: "Success", failed: "Failure" };

/** `GET /cc.xml`: how every repository does, for trays, lamps and walls that read what CruiseControl wrote. */
export function trayRoutes(app: FastifyInstance, { history }: HttpParts): void {
  app.get("/cc.xml", { config: { needs: "read" } }, async (request, reply) => {
    const readable = readableTo(request.principal);
    const mine = history.repositories().filter(({ repository }) => readable?.(repository) ?? true);
    const base = `${request.protocol}://${request.host}`;
    const projects = await Promise.all(
      mine.map(async (one) => {
        const newest = async (state: "active" | "ended"): Promise<BuildSummary | null> =>
          (await searchBuilds(history, [one], { branch: null, author: null, state }, null, 1)).builds[0] ?? null;
        return project(one.repository, await newest("ended"), (await newest("active")) !== null, base);
      }),
    );
    const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<Projects>\n${projects.join("")}</Projects>\n`;
    return reply.type("application/xml; charset=utf-8").header("cache-control", "no-cache").send(xml);
  });
}

function project(repository: string, ended: BuildSummary | null, isActive: boolean, base: string): string {
  const number = ended?.number ?? 1;
  const attributes = {
    name: repository,
    activity: isActive ? "Building" : "Sleeping",
    lastBuildStatus: ended === null ? "Unknown" : (STATUS[ended.outcome ?? ""] ?? "Unknown"),
    lastBuildLabel: ended === null ? "" : String(ended.number),
    lastBuildTime: new Date(ended?.finishedAtMs ?? 0).toISOString(),
    webUrl: `${base}/builds/${repository.split("/").map(encodeURIComponent).join("/")}/${number}`,
  };
  const text = Object.entries(attributes).map(([name, value]) => `${name}="${escaped(value)}"`);
  return `  <Project ${text.join(" ")}/>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] ?? "");
}
