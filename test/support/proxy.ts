import { connect, createServer, type Server, type Socket } from "node:net";

/** A link of one client through the proxy. */
interface Link {
  readonly client: Socket;
  readonly server: Socket;
}

/**
 * A TCP proxy on a port of its own, for what goes wrong between two machines: links that break, and bytes that go out
 * while nothing comes back.
 */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #deaf = false;
  #closed = false;
  #held = false;
  #cutAfter: ((sent: Buffer) => boolean) | null = null;
  #cutBefore: ((sent: Buffer) => boolean) | null = null;
  #cuts = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(target: { readonly host?: string; readonly port: number }): Promise<TcpProxy> {
    const server = createServer();
    const proxy = new TcpProxy(server);
    server.on("connection", (client) => proxy.#link(client, target.host ?? "127.0.0.1", target.port));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** How often a link was cut by {@link cutAfter} or {@link cutBefore}. */
  get cuts(): number {
    return this.#cuts;
  }

  /** From now on nothing that the server says arrives; what clients say does. */
  deafen(): void {
    this.#deaf = true;
  }

  /** The opposite of {@link deafen}. What was swallowed stays lost. */
  heal(): void {
    this.#deaf = false;
  }

  /** Nothing gets through either way, and nothing breaks: what is said arrives after {@link reopen}, however late. */
  hold(): void {
    this.#held = true;
    this.#each((socket) => socket.pause());
  }

  /** Breaks every link, and whoever comes again is turned away. */
  shut(): void {
    this.#closed = true;
    this.cut();
  }

  /** The opposite of {@link hold} and {@link shut}. */
  reopen(): void {
    this.#held = false;
    this.#closed = false;
    this.#each((socket) => socket.resume());
  }

  /** Breaks every link, as a network does. Clients may come again. */
  cut(): void {
    for (const { client, server } of this.#links) {
      client.destroy();
      server.destroy();
    }
  }

  /**
   * Once: when a client sends something that `matches`, it is passed on, but no answer comes back: the link breaks after
   * the server has taken it.
   */
  cutAfter(matches: (sent: Buffer) => boolean): void {
    this.#cutAfter = matches;
  }

  /** Once: when a client sends something that `matches`, the link breaks before the server has any of it. */
  cutBefore(matches: (sent: Buffer) => boolean): void {
    this.#cutBefore = matches;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #each(act: (socket: Socket) => void): void {
    for (const { client, server } of this.#links) for (const socket of [client, server]) act(socket);
  }

  #link(client: Socket, host: string, port: number): void {
    if (this.#closed) {
      client.destroy();
      return;
    }
    const server = connect({ host, port });
    const link = { client, server };
    this.#links.add(link);
    let silenced = false;
    const end = (): void => {
      this.#links.delete(link);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on("error", end);
      socket.on("close", end);
    }
    client.on("data", (sent: Buffer) => {
      if (this.#cutBefore?.(sent) === true) {
        this.#cutBefore = null;
        this.#cuts += 1;
        end();
        return;
      }
      if (this.#cutAfter?.(sent) === true) {
        this.#cutAfter = null;
        this.#cuts += 1;
        silenced = true;
        // The answer is what tells that the server has taken it; it goes no further.
        server.once("data", end);
      }
      server.write(sent);
    });
    server.on("data", (answer) => {
      if (!silenced && !this.#deaf) client.write(answer);
    });
    if (this.#held) for (const socket of [client, server]) socket.pause();
  }
}
