/** Asks registries, by skopeo: a tool that users install. */
import { mkdir, stat, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ExecaError, execa } from "execa";
import { ToroidError } from "../../../protocol/errors.ts";
import { diskFull } from "../../checkout/failure.ts";
import { findProgram } from "../find-program.ts";
import { DOCUMENT_MOST_BYTES } from "./documents.ts";
import { Refused } from "./refused.ts";

export interface SkopeoSettings {
  /** The program; null: what PATH finds, if anything. */
  readonly program: string | null;
  /** Logins, as `skopeo login --authfile` writes them; null: none. */
  readonly authFile: string | null;
  /** In place of /etc/containers/registries.conf: mirrors, registries without TLS; null: that one. */
  readonly registriesFile: string | null;
}

/** A blob that we need not fetch. */
export interface KnownBlob {
  readonly digest: string;
  readonly size: number;
}

/** What skopeo sees of our environment. */
const PASSED = ["PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] as const;
const POLICY = "/etc/containers/policy.json";
const LAYOUT = "layout";

export class Skopeo {
  readonly #o: SkopeoSettings;

  constructor(o: SkopeoSettings) {
    this.#o = o;
  }

  /**
   * What describes the image, byte for byte.
   *
   * @param dir for what it writes meanwhile
   * @throws {Refused}
   * @throws {ToroidError} TOR_TOOL_MISSING, TOR_REGISTRY_UNREACHABLE, TOR_REGISTRY_AUTH, TOR_IMAGE_DAMAGED, TOR_DISK_FULL
   * @throws the reason of `signal`
   */
  async describe(reference: string, dir: string, signal: AbortSignal): Promise<Uint8Array> {
    return this.#run(["inspect", "--raw", ...this.#login(), `docker://${reference}`], reference, dir, signal);
  }

  /**
   * Fetches the image as an OCI layout; answers where it is.
   *
   * @param known in their place the layout has files of zeros
   * @throws as {@link describe}
   */
  async fetch(reference: string, known: readonly KnownBlob[], dir: string, signal: AbortSignal): Promise<string> {
    const layout = join(dir, LAYOUT);
    for (const { digest, size } of known) {
      // It fetches no blob of which there is a file already, and does not read that.
      const path = join(layout, "blobs", digest.replace(":", "/"));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, "");
      await truncate(path, size);
    }
    const how = ["--quiet", "--remove-signatures", "--dest-oci-accept-uncompressed-layers"];
    const words = ["copy", ...how, ...this.#login(), `docker://${reference}`, `oci:${LAYOUT}:image`];
    await this.#run(words, reference, dir, signal);
    return layout;
  }

  #login(): readonly string[] {
    return this.#o.authFile === null ? [] : ["--authfile", this.#o.authFile];
  }

  async #run(words: readonly string[], reference: string, dir: string, signal: AbortSignal): Promise<Uint8Array> {
    const path = process.env["PATH"] ?? "";
    const program = await findProgram("skopeo", { named: this.#o.program, variable: "TOROID_SKOPEO", path });
    if (program === null) throw noSkopeo();
    const policy = await findFile(POLICY);
    const { registriesFile } = this.#o;
    const settings = [
      ...(policy ? [] : ["--insecure-policy"]),
      ...(registriesFile === null ? [] : ["--registries-conf", registriesFile]),
    ];
    const all = [program, ...settings, "--tmpdir", dir, ...words];
    // Whoever ends us ends it.
    const setpriv = await findProgram("setpriv", { named: null, variable: "", path });
    const [file = "", ...rest] = setpriv === null ? all : [setpriv, "--pdeathsig", "KILL", "--", ...all];
    try {
      const { stdout } = await execa(file, rest, {
        cwd: dir,
        env: this.#environment(dir),
        extendEnv: false,
        stdin: "ignore",
        encoding: "buffer",
        stripFinalNewline: false,
        maxBuffer: DOCUMENT_MOST_BYTES,
        cancelSignal: signal,
        forceKillAfterDelay: 2_000,
      });
      return stdout;
    } catch (error) {
      signal.throwIfAborted();
      throw failureOf(error, reference, this.#o.authFile);
    }
  }

  /** Its own home, so that nobody's logins or settings are used but those that we were given. */
  #environment(dir: string): Record<string, string> {
    const passed = PASSED.flatMap((name) =>
      [name, name.toLowerCase()].flatMap((one) => {
        const value = process.env[one];
        return value === undefined ? [] : [[one, value] as const];
      }),
    );
    return {
      ...Object.fromEntries(passed),
      HOME: dir,
      TMPDIR: dir,
      XDG_RUNTIME_DIR: dir,
      LC_ALL: "C",
    };
  }
}

function failureOf(error: unknown, reference: string, authFile: string | null): unknown {
  if (!(error instanceof ExecaError)) return error;
  const { stderr }: { readonly stderr?: unknown } = error;
  const said = stderr instanceof Uint8Array ? Buffer.from(stderr).toString("utf8") : "";
  return failureSaid(said === "" ? error.shortMessage : said, reference, authFile);
}

/** What skopeo's complaint means for a stage. */
export function failureSaid(stderr: string, reference: string, authFile: string | null): Error {
  const words = wordsOf(stderr);
  const registry = reference.split("/")[0] ?? "";
  if (/no space left|disk quota/i.test(words)) return diskFull(undefined);
  if (/did not match|does not match/i.test(words)) {
    const message = `${reference} is not what it says it is, and was not taken: ${words}`;
    return new ToroidError("TOR_IMAGE_DAMAGED", message, { registry });
  }
  if (/manifest unknown|name unknown|manifest .*not found|repository .*not (known|found)/i.test(words))
    return new Refused(`the image ${reference} is not there, ${registry} says: mind the spelling of its name and tag`);
  if (/unauthorized|authentication required|denied|invalid username|no basic auth|forbidden/i.test(words)) {
    const how =
      authFile === null
        ? `give the executor a login by TOROID_REGISTRY_AUTH (\`skopeo login --authfile FILE ${registry}\`)`
        : `its login in ${authFile} (TOROID_REGISTRY_AUTH) is missing, or may not read it`;
    const message = `${registry} wants a login for ${reference}, or has no such image: ${how}`;
    return new ToroidError("TOR_REGISTRY_AUTH", message, { registry });
  }
  if (UNREACHABLE.test(words)) {
    const message = `the registry ${registry} cannot be reached for ${reference}: ${words}`;
    return new ToroidError("TOR_REGISTRY_UNREACHABLE", message, { registry });
  }
  return new ToroidError("TOR_IMAGE_MISSING", `the image ${reference} cannot be fetched: ${words}`, { registry });
}

const UNREACHABLE =
  /pinging container registry|connection (refused|reset)|no such host|server misbehaving|timeout|timed out|TLS|x509|HTTP response to HTTPS|EOF|no route|network is unreachable|toomanyrequests|too many requests|\b50[0-9]\b/i;

/** `time="…" level=fatal msg="…"`, the last one. */
function wordsOf(stderr: string): string {
  const lines = stderr.trim().split("\n");
  const line = lines.findLast((one) => one.includes("level=fatal")) ?? lines.at(-1) ?? "";
  const [, quoted] = /msg="((?:[^"\\]|\\.)*)"/.exec(line) ?? [];
  const plain = quoted === undefined ? line : quoted.replaceAll(/\\(.)/g, "$1");
  return plain.slice(0, 500) || "it says nothing";
}

async function findFile(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function noSkopeo(): ToroidError {
  return new ToroidError(
    "TOR_TOOL_MISSING",
    "the image is fetched by skopeo, which this executor does not have: install it (`apt-get install skopeo`) where PATH or TOROID_SKOPEO finds it",
  );
}
