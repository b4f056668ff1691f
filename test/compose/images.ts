/**
 * The images that docker-compose.yml and the Dockerfile name, made here, because no registry of images is reached from a
 * machine of tests: Debian by mmdebstrap, with the same programs in it. They go by the names that are asked for.
 */
import { copyFile, cp, mkdir, readFile, realpath, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { findNatsServer } from "../../kit/nats-server.ts";
import { debianImage, Missing, once, program, unpacked } from "../support/debian.ts";
import type { Engine } from "../support/docker.ts";

const PROJECT = join(import.meta.dirname, "..", "..");
const CACHE = join(PROJECT, ".toroid", "cache");
const DEBIAN = "toroid-test/debian";
const JAVA = "/usr/lib/jvm/java-17-openjdk-amd64/bin/java";
const MAVEN_MS = 300_000;
const NATIVE = "softwaremill/elasticmq-native";

/** What the two files ask for, as they are written. */
export async function namedImages(): Promise<{ readonly node: string; readonly nats: string; readonly queue: string }> {
  const compose = await readFile(join(PROJECT, "docker-compose.yml"), "utf8");
  const dockerfile = await readFile(join(PROJECT, "Dockerfile"), "utf8");
  const named = (text: string, pattern: RegExp): string => {
    const name = pattern.exec(text)?.[1];
    if (name === undefined) throw new Error(`no image is named by ${String(pattern)}`);
    return name;
  };
  return {
    node: named(dockerfile, /^ARG NODE_IMAGE=(\S+)$/m),
    nats: named(compose, /image: (nats:\S+)$/m),
    queue: named(compose, /image: (softwaremill\/\S+)$/m),
  };
}

/** @throws {Missing} where one cannot be made, with the reason */
export async function makeImages(engine: Engine, dir: string, say: (line: string) => void): Promise<void> {
  const names = await namedImages();
  const debian = await debianImage();
  const pack = `tar -C "$1" --numeric-owner --exclude=./dev/* -cf - . | "$2" -H "$3" import - ${DEBIAN}`;
  await execa("sh", ["-c", pack, "sh", debian, engine.client[0] ?? "", engine.host]);
  const makers = { [names.node]: nodeImage, [names.nats]: natsImage, [names.queue]: queueImage };
  for (const [name, make] of Object.entries(makers)) {
    const context = join(dir, name.replace(/\W/g, "-"));
    await mkdir(join(context, "files"), { recursive: true });
    const says = await make(context, name);
    await docker(engine, ["build", "--quiet", "--force-rm", "--network", "none", "-t", name, context]);
    say(`${name} is not pulled but made: ${says}`);
  }
}

export async function docker(engine: Engine, words: readonly string[], input?: string): Promise<string> {
  const [client = "", ...at] = engine.client;
  const { stdout } = await execa(client, [...at, ...words], {
    env: CLASSIC,
    ...(input === undefined ? {} : { input }),
  });
  return stdout;
}

/** The builder that needs no plug-in. */
export const CLASSIC = { DOCKER_BUILDKIT: "0", COMPOSE_DOCKER_CLI_BUILD: "0", NO_COLOR: "1" };

/** With what this machine needs to reach its registries, so that a build in it does as well. */
async function nodeImage(context: string): Promise<string> {
  const files = join(context, "files");
  const bin = join(files, "usr", "local", "bin");
  const modules = join(files, "usr", "local", "lib", "node_modules");
  await mkdir(bin, { recursive: true });
  await copyFile(await realpath(process.execPath), join(bin, "node"));
  const npm = dirname(dirname(await realpath(await program("npm"))));
  await cp(npm, join(modules, "npm"), { recursive: true });
  await symlink("../lib/node_modules/npm/bin/npm-cli.js", join(bin, "npm"));
  await copyLibraries(process.execPath, files);
  await cp("/etc/apt/apt.conf.d", join(files, "etc", "apt", "apt.conf.d"), { recursive: true });
  const settings = [];
  const certificates = process.env["NODE_EXTRA_CA_CERTS"];
  if (certificates !== undefined) {
    await copyFile(certificates, join(files, "etc", "certificates.pem"));
    settings.push("ENV NODE_EXTRA_CA_CERTS=/etc/certificates.pem");
  }
  const registry = (await execa("npm", ["config", "get", "registry"])).stdout.trim();
  if (registry.startsWith("http")) settings.push(`ENV npm_config_registry=${registry}`);
  await recipe(context, settings);
  return `Debian with the Node ${process.versions.node} and the npm of this machine`;
}

async function natsImage(context: string, name: string): Promise<string> {
  const { path, version } = await findNatsServer(CACHE, () => undefined);
  if (!name.includes(`:${version}-`)) throw new Missing(`nats-server here is ${version}, and the image is ${name}`);
  const bin = join(context, "files", "usr", "local", "bin");
  await mkdir(bin, { recursive: true });
  await copyFile(path, join(bin, "nats-server"));
  await copyWget(bin);
  await recipe(context, ["RUN mkdir /data", 'CMD ["nats-server", "--config", "/etc/nats/nats-server.conf"]']);
  return `Debian with the nats-server ${version} of the tests`;
}

async function queueImage(context: string, name: string): Promise<string> {
  const version = name.split(":")[1] ?? "";
  const jars = await queueJars(version);
  const java = await unpacked("java", ["openjdk-17-jre-headless"]);
  const files = join(context, "files");
  for (const part of ["etc", "usr"])
    await cp(join(java, part), join(files, part), { recursive: true, verbatimSymlinks: true });
  await cp(jars, join(files, "opt", "elasticmq"), { recursive: true });
  await mkdir(join(files, "usr", "local", "bin"), { recursive: true });
  await copyWget(join(files, "usr", "local", "bin"));
  const start = [JAVA, "-XX:TieredStopAtLevel=1", "-Dconfig.file=/opt/elasticmq.conf", "-cp", "/opt/elasticmq/*"];
  await recipe(context, [`ENTRYPOINT ${JSON.stringify([...start, "org.elasticmq.server.Main"])}`]);
  return `ElasticMQ ${version} from its jars on Debian's Java, and not the native program of ${NATIVE}`;
}

async function recipe(context: string, lines: readonly string[]): Promise<void> {
  await writeFile(join(context, "Dockerfile"), [`FROM ${DEBIAN}`, "COPY files /", ...lines, ""].join("\n"));
}

/** Debian's smallest image has no wget, and those that we stand in for have busybox'. */
async function copyWget(bin: string): Promise<void> {
  const busybox = await unpacked("busybox", ["busybox-static"]);
  await copyFile(join(busybox, "bin", "busybox"), join(bin, "wget"));
}

/** What a program is linked with beyond Debian's smallest image. */
async function copyLibraries(path: string, files: string): Promise<void> {
  const { stdout } = await execa("ldd", [path]);
  const libraries = join(files, "usr", "lib", "x86_64-linux-gnu");
  await mkdir(libraries, { recursive: true });
  for (const [, name = "", at = ""] of stdout.matchAll(/^\s*(\S+) => (\/\S+)/gm)) {
    if (name.startsWith("libatomic")) await copyFile(at, join(libraries, name));
  }
}

async function queueJars(version: string): Promise<string> {
  const maven = await program("mvn", "maven");
  return once(join(CACHE, `elasticmq-${version}`), async (making) => {
    console.error(`test: fetching ElasticMQ ${version} with mvn, once`);
    const pom = join(making, "pom.xml");
    await writeFile(
      pom,
      `<project><modelVersion>4.0.0</modelVersion><groupId>toroid.test</groupId><artifactId>queue</artifactId>
<version>1</version><packaging>pom</packaging><dependencies><dependency><groupId>org.elasticmq</groupId>
<artifactId>elasticmq-server_2.13</artifactId><version>${version}</version></dependency></dependencies></project>\n`,
    );
    const goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies";
    const words = ["-q", "-B", "-f", pom, goal, `-DoutputDirectory=${making}`, "-DincludeScope=runtime"];
    await execa(maven, words, { timeout: MAVEN_MS, stdin: "ignore" }).catch((cause: unknown) => {
      throw new Missing(`the jars of ElasticMQ ${version} cannot be fetched with mvn`, { cause });
    });
  });
}
