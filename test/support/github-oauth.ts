/**
 * GitHub at the network edge, which tests cannot reach: the part of it that people sign in by. Asks nobody for a
 * password, and is strict about everything that the other side has to get right.
 */
import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface Person {
  readonly login: string;
  readonly organizations: readonly string[];
  /** `organization/team` */
  readonly teams: readonly string[];
}

interface Code {
  readonly person: Person;
  readonly challenge: string;
  readonly redirectUri: string;
}

export const CLIENT = { id: "Iv1.test", secret: "a-client-secret" } as const;

export class GithubOauth implements AsyncDisposable {
  /** Who sits at the browser; null: they press Cancel. */
  person: Person | null = null;
  /** When set, the API answers with this. */
  apiStatus = 200;
  readonly #server: Server;
  readonly #codes = new Map<string, Code>();
  readonly #tokens = new Map<string, Person>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<GithubOauth> {
    const server = createServer();
    const github = new GithubOauth(server);
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      github.#answer(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    return github;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What a coordinator is told. */
  get variables(): Record<string, string> {
    return {
      TOROID_AUTH: "github",
      TOROID_GITHUB_URL: this.url,
      TOROID_GITHUB_CLIENT_ID: CLIENT.id,
      TOROID_GITHUB_CLIENT_SECRET: CLIENT.secret,
    };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.url);
    if (url.pathname === "/login/oauth/authorize") return this.#authorize(url.searchParams, response);
    if (url.pathname === "/login/oauth/access_token") {
      const ok = request.method === "POST" && request.headers.accept?.includes("application/json");
      const body = new URLSearchParams(await text(request));
      return json(response, ok ? 200 : 406, this.#exchange(body));
    }
    const person = this.#tokens.get((request.headers.authorization ?? "").replace(/^Bearer /, ""));
    if (person === undefined || this.apiStatus !== 200) return json(response, person ? this.apiStatus : 401, {});
    const page = Number(url.searchParams.get("page") ?? "1");
    const paged = <T>(all: readonly T[]): readonly T[] => all.slice((page - 1) * 100, page * 100);
    switch (url.pathname) {
      case "/api/v3/user":
        return json(response, 200, { login: person.login, id: 1 });
      case "/api/v3/user/orgs":
        return json(response, 200, paged(person.organizations.map((login) => ({ login }))));
      case "/api/v3/user/teams": {
        const teams = person.teams.map((team) => {
          const [login = "", slug = ""] = team.split("/");
          return { slug, organization: { login } };
        });
        return json(response, 200, paged(teams));
      }
      default:
        return json(response, 404, {});
    }
  }

  #authorize(query: URLSearchParams, response: ServerResponse): void {
    const [redirectUri, state, challenge] = ["redirect_uri", "state", "code_challenge"].map((name) => query.get(name));
    const isRight =
      query.get("client_id") === CLIENT.id &&
      query.get("response_type") === "code" &&
      query.get("code_challenge_method") === "S256";
    if (!isRight || !redirectUri || !state || !challenge) return json(response, 400, { error: "a parameter is wrong" });
    const back = new URL(redirectUri);
    back.searchParams.set("state", state);
    if (this.person === null) back.searchParams.set("error", "access_denied");
    else {
      const code = randomBytes(10).toString("hex");
      this.#codes.set(code, { person: this.person, challenge, redirectUri });
      back.searchParams.set("code", code);
    }
    response.writeHead(302, { location: back.href }).end();
  }

  /** As GitHub does it: an error is an answer of 200. */
  #exchange(body: URLSearchParams): object {
    const code = this.#codes.get(body.get("code") ?? "");
    this.#codes.delete(body.get("code") ?? "");
    const challenge = createHash("sha256")
      .update(body.get("code_verifier") ?? "")
      .digest("base64url");
    if (body.get("client_id") !== CLIENT.id || body.get("client_secret") !== CLIENT.secret)
      return { error: "incorrect_client_credentials" };
    if (code === undefined || code.challenge !== challenge || code.redirectUri !== body.get("redirect_uri"))
      return { error: "bad_verification_code" };
    const token = `gho_${randomBytes(12).toString("hex")}`;
    this.#tokens.set(token, code.person);
    return { access_token: token, token_type: "bearer", scope: "read:org" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

interface Asked extends Omit<RequestInit, "headers"> {
  readonly headers?: Readonly<Record<string, string>>;
}

let visitors = 0;

/**
 * A browser as far as cookies and redirects go. Each has an address of its own, as far as a coordinator believes proxies:
 * an address may sign in so often only.
 */
export class Visitor {
  readonly cookies = new Map<string, string>();
  /** `Set-Cookie` as it came last, by name. */
  readonly set = new Map<string, string>();
  readonly #base: string;
  readonly #address: string;

  constructor(base: string) {
    this.#base = base;
    visitors += 1;
    this.#address = `198.51.100.${visitors % 250}`;
  }

  /** One request, without following where it leads. */
  async go(path: string, { headers: given = {}, ...init }: Asked = {}): Promise<Response> {
    const url = new URL(path, this.#base);
    const own = url.origin === new URL(this.#base).origin;
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = { "x-forwarded-for": this.#address, ...given, ...(own && cookie !== "" ? { cookie } : {}) };
    const answer = await fetch(url, { ...init, headers, redirect: "manual" });
    for (const line of own ? answer.headers.getSetCookie() : []) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      this.set.set(name, line);
      if (value === "" || /max-age=0/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return answer;
  }

  /** As our page asks for a change. */
  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const ours = { "content-type": "application/json", "toroid-csrf": "1", "sec-fetch-site": "same-origin" };
    const origin = new URL(this.#base).origin;
    return this.go(path, { method: "POST", body: JSON.stringify(body), headers: { ...ours, origin, ...headers } });
  }

  /** Through GitHub and back; answers where it ends. */
  async signIn(to = "/"): Promise<string> {
    const there = await this.go(`/auth/github?to=${encodeURIComponent(to)}`);
    const back = await this.go(there.headers.get("location") ?? "");
    const end = await this.go(back.headers.get("location") ?? "");
    return end.headers.get("location") ?? `${end.status}`;
  }
}
