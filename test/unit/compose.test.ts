/** What docker-compose.yml promises, as far as it can be read without an engine; `test/compose` runs it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { configFrom as coordinatorConfig } from "../../coordinator/config.ts";
import { configFrom as executorConfig } from "../../executor/config.ts";
import { PINNED_VERSION } from "../../kit/nats-server/version.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const service = z.looseObject({
  image: z.string(),
  ports: z.array(z.string()).default([]),
  privileged: z.boolean().optional(),
  environment: z.record(z.string(), z.string()).default({}),
  cap_add: z.array(z.string()).default([]),
});
const services = z
  .looseObject({ services: z.record(z.string(), service) })
  .parse(parse(read("docker-compose.yml"), { merge: true })).services;

/** As `docker compose` reads `${NAME:-default}` where nothing is set. */
const unset = (value: string): string => value.replaceAll(/\$\{[A-Z0-9_]+(?::?-([^}]*))?\}/g, "$1");

function environmentOf(name: string): Readonly<Record<string, string>> {
  const given = Object.entries(services[name]?.environment ?? {});
  return Object.fromEntries(given.map(([variable, value]) => [variable, unset(value)]));
}

test("every image is pinned, NATS and ours to the versions of this checkout", () => {
  const { version } = z.looseObject({ version: z.string() }).parse(JSON.parse(read("package.json")));
  const images = new Set(Object.values(services).map(({ image }) => image));
  assert.deepEqual(
    [...images].filter((image) => !/:\d+\.\d+\.\d+/.test(image)),
    [],
  );
  assert.ok(images.has(`nats:${PINNED_VERSION}-alpine`), [...images].join(" "));
  assert.ok(images.has(`toroid:${version}`), [...images].join(" "));
  assert.match(read("Dockerfile"), /^ARG NODE_IMAGE=node:\d+\.\d+\.\d+-\S+$/m);
});

test("what is published is published on loopback, and nothing is privileged", () => {
  const ports = Object.values(services).flatMap((one) => one.ports);
  assert.ok(ports.length >= 4);
  assert.deepEqual(
    ports.filter((port) => !port.startsWith("127.0.0.1:")),
    [],
  );
  assert.deepEqual(
    Object.entries(services).filter(([, one]) => one.privileged === true),
    [],
  );
});

test("the daemons read their variables as they are when nothing is set", () => {
  for (const name of ["coordinator-1", "coordinator-2"]) {
    const { http, queue, natsMonitorUrls } = coordinatorConfig(environmentOf(name));
    assert.deepEqual([http.host, queue?.deadLetterUrl !== null, natsMonitorUrls.length], ["0.0.0.0", true, 1]);
  }
  const { allowWeak, network, defaultImage, artifacts, secrets } = executorConfig(environmentOf("executor"));
  assert.deepEqual(artifacts, { kind: "directory", path: "/var/lib/toroid/artifacts" });
  assert.ok(secrets.dir !== null && secrets.from.includes("https://github.com/"));
  assert.deepEqual([allowWeak, network.mode, network.forward], [[], "auto", true]);
  assert.ok(read("Dockerfile").includes(` ${defaultImage}\n`), `the Dockerfile makes no ${defaultImage}`);
});

test("an executor's capabilities are those of its unit, but for one that is not always to be had", () => {
  const unit = /^CapabilityBoundingSet=((?:.*\\\n)*.*)$/m.exec(read("docs/systemd/toroid-sandbox.service"))?.[1] ?? "";
  const wanted = [...unit.matchAll(/CAP_([A-Z_]+)/g)].map(([, name]) => name).filter((name) => name !== "SYS_RESOURCE");
  assert.deepEqual(new Set(services["executor"]?.cap_add), new Set(wanted));
});

test("NATS syncs before it acknowledges", () => {
  assert.match(read("docker/nats.conf"), /^\s*sync_interval: always\b/m);
});
