/** What a checkout is, by the files in it. Pure. */
import { readDocument } from "../../protocol/pipeline/document.ts";

/** What `detect` reads of a checkout, where it is there. */
export const READ = ["package.json", "Makefile", ".travis.yml"] as const;

export interface Checkout {
  readonly files: readonly string[];
  /** Of those of {@link READ}. */
  readonly texts: Readonly<Record<string, string>>;
}

export interface Found {
  readonly kind: "library" | "application";
  readonly install: readonly string[];
  readonly script: readonly string[];
  /** A program that deploys. */
  readonly entrypoint: string | null;
  /** What the guess is made of, for people. */
  readonly because: readonly string[];
  /** What was seen and is not used, in sentences. */
  readonly notes: readonly string[];
}

interface Guess {
  readonly install: readonly string[];
  readonly script: readonly string[];
  readonly because: string;
}

export function detect(checkout: Checkout): Found {
  const has = (path: string): boolean => checkout.files.includes(path);
  const guesses = [travis(checkout), ruby(checkout), node(checkout), go(checkout), rust(checkout), python(checkout)];
  const found = [...guesses, make(checkout)].filter((guess) => guess !== null);
  // What another CI ran is what people mean by testing; then the first that knows how.
  const [first] = found;
  const isTravis = first?.because === ".travis.yml";
  const install = isTravis && first.install.length > 0 ? first.install : found.flatMap((guess) => guess.install);
  const isApplication = APPLICATIONS.some((one) => checkout.files.some((path) => one.test(path))) || starts(checkout);
  return {
    kind: isApplication ? "application" : "library",
    install: [...new Set(install)],
    script: found.find((guess) => guess.script.length > 0)?.script ?? [],
    entrypoint: ENTRYPOINTS.find(has) ?? null,
    because: found.map(({ because }) => because),
    notes: has("Dockerfile")
      ? ["Dockerfile: Toroid does not build it; what it installs can stand in `install`, or in .packer"]
      : [],
  };
}

const APPLICATIONS = [
  /^(Dockerfile|Procfile|manage\.py|wsgi\.py|config\.ru|main\.go|serverless\.ya?ml)$/,
  /^config\/(application\.rb|deploy\.(rb|ya?ml))$/,
  /^cmd\/[^/]+\/main\.go$/,
  /^src\/main\.rs$/,
  /^(bin|scripts?)\/deploy(\.sh)?$|^deploy(\.sh)?$/,
];
const ENTRYPOINTS = ["bin/deploy", "script/deploy", "scripts/deploy", "scripts/deploy.sh", "deploy", "deploy.sh"];

/** The lines of one key, as Travis takes them. */
function travis({ texts }: Checkout): Guess | null {
  const text = texts[".travis.yml"];
  if (text === undefined) return null;
  const document = readDocument(".travis.yml", text);
  if (!("value" in document)) return null;
  const of = (key: string): readonly string[] => {
    const { value } = document;
    const said: unknown = typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
    const lines: readonly unknown[] = Array.isArray(said) ? said : [said];
    return lines.filter((line) => typeof line === "string" && line.trim() !== "") as readonly string[];
  };
  const install = [...of("before_install"), ...of("install")].filter((line) => line !== "skip");
  return { install, script: [...of("before_script"), ...of("script")], because: ".travis.yml" };
}

function ruby({ files }: Checkout): Guess | null {
  if (!files.includes("Gemfile")) return null;
  const script = files.includes("bin/rails")
    ? ["bin/rails test"]
    : files.some((path) => path.startsWith("spec/"))
      ? ["bundle exec rspec"]
      : ["bundle exec rake"];
  return { install: ["bundle install"], script, because: "Gemfile" };
}

const NODE_INSTALLS: readonly (readonly [string, string, string])[] = [
  ["pnpm-lock.yaml", "pnpm install --frozen-lockfile", "pnpm"],
  ["yarn.lock", "yarn install --frozen-lockfile", "yarn"],
  ["bun.lock", "bun install --frozen-lockfile", "bun"],
  ["package-lock.json", "npm ci", "npm"],
];

function node({ files, texts }: Checkout): Guess | null {
  if (!files.includes("package.json")) return null;
  const [, install, program] = NODE_INSTALLS.find(([lock]) => files.includes(lock)) ?? ["", "npm install", "npm"];
  const scripts = scriptsOf(texts["package.json"]);
  const script = [
    ...(scripts["test"] === undefined || /no test specified/.test(scripts["test"]) ? [] : [`${program} test`]),
    ...(scripts["build"] === undefined ? [] : [`${program} run build`]),
  ];
  return { install: [install], script, because: "package.json" };
}

function scriptsOf(text: string | undefined): Readonly<Record<string, string>> {
  try {
    const read: unknown = JSON.parse(text ?? "");
    const scripts: unknown = typeof read === "object" && read !== null ? Reflect.get(read, "scripts") : null;
    if (typeof scripts !== "object" || scripts === null) return {};
    return Object.fromEntries(Object.entries(scripts).filter(([, command]) => typeof command === "string"));
  } catch {
    return {};
  }
}

function starts({ texts }: Checkout): boolean {
  return scriptsOf(texts["package.json"])["start"] !== undefined;
}

function go({ files }: Checkout): Guess | null {
  if (!files.includes("go.mod")) return null;
  return { install: ["go mod download"], script: ["go test ./..."], because: "go.mod" };
}

function rust({ files }: Checkout): Guess | null {
  if (!files.includes("Cargo.toml")) return null;
  const locked = files.includes("Cargo.lock") ? " --locked" : "";
  return { install: [`cargo fetch${locked}`], script: [`cargo test${locked}`], because: "Cargo.toml" };
}

function python({ files }: Checkout): Guess | null {
  const has = (name: string): boolean => files.includes(name);
  const because = ["pyproject.toml", "requirements.txt", "setup.py"].find(has);
  if (because === undefined) return null;
  if (has("uv.lock")) return { install: ["uv sync --locked"], script: ["uv run pytest"], because: "uv.lock" };
  if (has("poetry.lock")) return { install: ["poetry install"], script: ["poetry run pytest"], because: "poetry.lock" };
  const install = has("requirements.txt") ? "pip install -r requirements.txt" : "pip install -e .";
  return { install: [install], script: [has("manage.py") ? "python manage.py test" : "python -m pytest"], because };
}

function make({ texts }: Checkout): Guess | null {
  const text = texts["Makefile"];
  if (text === undefined) return null;
  const target = ["test", "check", "all"].find((name) => new RegExp(`^${name}\\s*:(?!=)`, "m").test(text));
  return {
    install: [],
    script: [target === undefined || target === "all" ? "make" : `make ${target}`],
    because: "Makefile",
  };
}
