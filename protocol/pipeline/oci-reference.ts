/** References of OCI images: in a registry, or in files that hold a layout or an archive of one. */

export type OciReference =
  | {
      readonly kind: "registry";
      /** With its registry: `docker.io/library/node`. */
      readonly name: string;
      /** Null where the digest says it all. */
      readonly tag: string | null;
      readonly digest: string | null;
    }
  | {
      readonly kind: "files";
      readonly path: string;
      /** Which of several images; null: there is one. */
      readonly tag: string | null;
    };

const FILES = /^(?:oci|oci-archive|docker-archive):(?!\/\/)([^:]*)(?::(.*))?$/s;
const DOMAIN =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]+)?$/;
const COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
export const OCI_DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** What `text` refers to, with all that may be left out of it, or what is wrong with it. */
export function ociReferenceOf(text: string): OciReference | { readonly problem: string } {
  const files = FILES.exec(text);
  if (files !== null) {
    const [, path = "", tag = ""] = files;
    if (path === "" || path.includes("\0") || path.split("/").includes(".."))
      return { problem: `\`${text.slice(0, 100)}\` needs a path behind its first colon, without \`..\` in it` };
    return { kind: "files", path, tag: tag === "" ? null : tag };
  }
  const [, transport] = /^([a-z-]+):\/\//.exec(text) ?? [];
  if (transport !== undefined && transport !== "docker")
    return {
      problem: `\`${transport}://\` is no way to an image: write a reference such as \`docker.io/library/node:22\``,
    };
  return inRegistry(text.replace(/^docker:\/\//, "")) ?? { problem: wrong(text) };
}

/** Short where it may be: as people write it. */
export function ociReferenceText(reference: OciReference): string {
  if (reference.kind === "files") return reference.tag === null ? reference.path : `${reference.path}:${reference.tag}`;
  const { name, tag, digest } = reference;
  return `${name}${tag === null ? "" : `:${tag}`}${digest === null ? "" : `@${digest}`}`;
}

function inRegistry(text: string): OciReference | null {
  const [named = "", digest = null, ...more] = text.split("@");
  if (more.length > 0 || (digest !== null && !OCI_DIGEST.test(digest))) return null;
  const [, path = "", tag = null] = /^(.*?)(?::([^/:]*))?$/s.exec(named) ?? [];
  if (tag !== null && !TAG.test(tag)) return null;
  const [first = "", ...rest] = path.split("/");
  const hasDomain = rest.length > 0 && (/[.:]/.test(first) || first === "localhost");
  const components = hasDomain ? rest : [first, ...rest];
  if (hasDomain && !DOMAIN.test(first)) return null;
  if (!components.every((one) => COMPONENT.test(one)) || path.length > 255) return null;
  const domain = hasDomain && first !== "index.docker.io" ? first : "docker.io";
  const name = domain === "docker.io" && components.length === 1 ? ["library", ...components] : components;
  return {
    kind: "registry",
    name: [domain, ...name].join("/"),
    tag: tag ?? (digest === null ? "latest" : null),
    digest,
  };
}

function wrong(text: string): string {
  return `\`${text.slice(0, 100)}\` is no reference of an image: write one such as \`docker.io/library/node:22\`, with a tag or \`@sha256:\` and 64 hex digits at its end`;
}
