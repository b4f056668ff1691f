import { CreateBucketCommand, GetObjectCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { buildApp } from "fauxqs";
import { openStores } from "../../kit/queue-server/kept-queues.ts";

export const BUCKET = "toroid-artifacts";
export const BUCKET_REGION = "us-east-1";
export const BUCKET_CREDENTIALS = { accessKeyId: "toroid", secretAccessKey: "a-secret-of-the-bucket" } as const;

/** What a request is answered with instead: an error as S3 writes it, or a connection that breaks. */
export type Fault = { readonly code: string; readonly status: number } | "break" | "break half way";

type Stores = Awaited<ReturnType<typeof openStores>>;

/** A real S3-compatible server with a bucket: gone at the end of the block that holds it. */
export class BucketServer implements AsyncDisposable {
  readonly endpoint: string;
  readonly client: S3Client;
  /** `PUT key`, of everything that was asked. */
  readonly asked: string[] = [];
  /** Which requests go wrong: by what is in `asked` for it. */
  fault: (asked: string) => Fault | null = () => null;
  readonly #stores: Stores;
  readonly #close: () => Promise<void>;

  private constructor(endpoint: string, stores: Stores, close: () => Promise<void>) {
    this.endpoint = endpoint;
    this.#stores = stores;
    this.#close = close;
    this.client = new S3Client({
      endpoint,
      region: BUCKET_REGION,
      credentials: BUCKET_CREDENTIALS,
      forcePathStyle: true,
      maxAttempts: 1,
    });
  }

  static async start(): Promise<BucketServer> {
    const stores = await openStores(undefined);
    const app = buildApp({ logger: false, defaultRegion: BUCKET_REGION, stores });
    let server: BucketServer | undefined;
    app.addHook("onRequest", async (request, reply) => {
      const asked = `${request.method} ${request.url.replace(`/${BUCKET}`, "").replace(/^\//, "")}`;
      server?.asked.push(asked);
      const fault = server?.fault(asked) ?? null;
      if (fault === null) return;
      if (fault === "break") request.raw.socket.destroy();
      else if (fault === "break half way") {
        reply.hijack();
        reply.raw.writeHead(200, { "content-length": "100000" });
        reply.raw.write("half of it", () => request.raw.socket.destroy());
      } else {
        const xml = `<?xml version="1.0"?><Error><Code>${fault.code}</Code><Message>no</Message></Error>`;
        await reply.code(fault.status).type("application/xml").send(xml);
      }
    });
    const endpoint = await app.listen({ port: 0, host: "127.0.0.1" });
    server = new BucketServer(endpoint, stores, () => app.close());
    await server.client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    return server;
  }

  /** For an executor whose artifacts are kept here. */
  get variables(): Record<string, string> {
    return {
      TOROID_ARTIFACTS: `s3://${BUCKET}/ci`,
      TOROID_ARTIFACTS_ENDPOINT: this.endpoint,
      TOROID_ARTIFACTS_REGION: BUCKET_REGION,
      TOROID_ARTIFACTS_ACCESS_KEY_ID: BUCKET_CREDENTIALS.accessKeyId,
      TOROID_ARTIFACTS_SECRET_ACCESS_KEY: BUCKET_CREDENTIALS.secretAccessKey,
    };
  }

  async keys(): Promise<readonly string[]> {
    const { Contents = [] } = await this.client.send(new ListObjectsV2Command({ Bucket: BUCKET }));
    return Contents.map(({ Key = "" }) => Key);
  }

  async bytes(Key: string): Promise<Buffer> {
    const { Body } = await this.client.send(new GetObjectCommand({ Bucket: BUCKET, Key }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  }

  /** Uploads in parts that were begun and neither ended nor given up. */
  get halfUploads(): number {
    const uploads: unknown = Reflect.get(this.#stores.s3Store, "multipartUploads");
    if (!(uploads instanceof Map)) throw new Error("fauxqs keeps its uploads elsewhere now");
    return uploads.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy();
    await this.#close();
    this.#stores.close();
  }
}
