/** Archives in a bucket of S3, or of a server that speaks its language. The only place that speaks it. */
import { type FileHandle, open } from "node:fs/promises";
import { Readable } from "node:stream";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { ToroidError } from "../../protocol/errors.ts";
import { type BucketPlace, bucketError, urlOf } from "./bucket-error.ts";
import { type ArtifactStore, fileOf } from "./store.ts";

export interface BucketConfig extends BucketPlace {
  /** null: as the environment or the profile says. */
  readonly region: string | null;
  /** null: the SDK's default chain (environment, profile, role). */
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  } | null;
}

const MIB = 1024 ** 2;
/** What is no larger goes in one piece. In memory at a time are as many as go at once. */
const PART_BYTES = 8 * MIB;
const PARTS_AT_ONCE = 4;
const CONNECT_MS = 5_000;
const SILENCE_MS = 60_000;
/** Written at a start to see that we may. */
const PROBE = ".writable";

const WRITE = { doing: "write an archive", permission: "s3:PutObject" } as const;
const READ = { doing: "read an archive", permission: "s3:GetObject" } as const;
const LIST = { doing: "see what there is", permission: "s3:ListBucket" } as const;
const SWEEP = {
  doing: "end what was uploaded by half",
  permission: "s3:ListBucketMultipartUploads and s3:AbortMultipartUpload",
} as const;

export class BucketStore implements ArtifactStore {
  readonly draftsDir = null;
  readonly #client: S3Client;
  readonly #place: BucketConfig;

  constructor(config: BucketConfig) {
    this.#place = config;
    this.#client = clientFor(config);
  }

  async check(): Promise<void> {
    const at = this.#at(PROBE);
    // Without leave to list, what is missing looks like what is forbidden.
    await this.#told(LIST, () => this.#client.send(new HeadBucketCommand({ Bucket: at.Bucket })));
    await this.#told(WRITE, () => this.#client.send(new PutObjectCommand({ ...at, Body: "toroid\n" })));
    await this.#told(READ, async () => {
      const { Body } = await this.#client.send(new GetObjectCommand(at));
      await Body?.transformToByteArray();
    });
  }

  async put(hex: string, draft: string, signal: AbortSignal): Promise<void> {
    await using file = await open(draft);
    const { size } = await file.stat();
    if (size > PART_BYTES) return await this.#putInParts(fileOf(hex), file, size, signal);
    const Body = await slice(file, 0, size);
    await this.#told(
      WRITE,
      () => this.#client.send(new PutObjectCommand({ ...this.#at(fileOf(hex)), Body }), { abortSignal: signal }),
      signal,
    );
  }

  async open(hex: string): Promise<Readable> {
    const name = hex.slice(0, 12);
    try {
      const { Body } = await this.#client.send(new GetObjectCommand(this.#at(fileOf(hex))));
      if (!(Body instanceof Readable)) throw new ToroidError("TOR_INTERNAL", "the S3 client answers no stream");
      return Readable.from(this.#whole(Body), { objectMode: false });
    } catch (error) {
      if (error instanceof Error && error.name === "NoSuchKey") {
        throw new ToroidError("TOR_ARTIFACT_MISSING", `the artifact ${name} is not at ${urlOf(this.#place)}`);
      }
      throw bucketError(error, this.#place, READ);
    }
  }

  async sweep(beforeMs: number): Promise<number> {
    const { Bucket } = this.#at("");
    const { prefix } = this.#place;
    return this.#told(SWEEP, async () => {
      const { Uploads = [] } = await this.#client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: prefix }));
      let ended = 0;
      for (const { Key, UploadId, Initiated } of Uploads) {
        if (Key === undefined || Initiated === undefined || Initiated.getTime() >= beforeMs) continue;
        await this.#client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
        ended += 1;
      }
      return ended;
    });
  }

  /** Nothing of it can be seen until the last request. */
  async #putInParts(name: string, file: FileHandle, size: number, signal: AbortSignal): Promise<void> {
    const at = this.#at(name);
    const { UploadId } = await this.#told(
      WRITE,
      () => this.#client.send(new CreateMultipartUploadCommand(at), { abortSignal: signal }),
      signal,
    );
    try {
      const parts = await this.#told(WRITE, () => this.#parts({ ...at, UploadId }, file, size, signal), signal);
      await this.#told(
        WRITE,
        () =>
          this.#client.send(
            new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts: [...parts] } }),
            { abortSignal: signal },
          ),
        signal,
      );
    } catch (error) {
      // What cannot be ended now is swept at a later start, or by the bucket's own rule.
      await this.#client.send(new AbortMultipartUploadCommand({ ...at, UploadId })).catch(() => undefined);
      throw error;
    }
  }

  async #parts(
    upload: { readonly Bucket: string; readonly Key: string; readonly UploadId: string | undefined },
    file: FileHandle,
    size: number,
    signal: AbortSignal,
  ): Promise<readonly { readonly PartNumber: number; readonly ETag: string | undefined }[]> {
    const count = Math.ceil(size / PART_BYTES);
    const done: { PartNumber: number; ETag: string | undefined }[] = [];
    const failed = new AbortController();
    const abortSignal = AbortSignal.any([signal, failed.signal]);
    let next = 0;
    const sendSome = async (): Promise<void> => {
      for (let index = next++; index < count && !abortSignal.aborted; index = next++) {
        const from = index * PART_BYTES;
        const Body = await slice(file, from, Math.min(PART_BYTES, size - from));
        const part = { ...upload, PartNumber: index + 1, Body };
        const { ETag } = await this.#client.send(new UploadPartCommand(part), { abortSignal });
        done.push({ PartNumber: index + 1, ETag });
      }
    };
    const sending = Array.from({ length: PARTS_AT_ONCE }, () =>
      sendSome().catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    );
    // All are waited for, so that none goes on behind the end of the upload; the first failure is the one that counts.
    await Promise.allSettled(sending);
    signal.throwIfAborted();
    failed.signal.throwIfAborted();
    return done.toSorted((a, b) => a.PartNumber - b.PartNumber);
  }

  /** Fails where a body that breaks off, or falls silent, would seem to be at its end. */
  async *#whole(body: Readable): AsyncGenerator<Uint8Array> {
    const silent = setTimeout(() => {
      body.destroy(new Error(`nothing came for ${SILENCE_MS / 1_000} seconds`));
    }, SILENCE_MS);
    try {
      for await (const chunk of body) {
        silent.refresh();
        yield chunk as Uint8Array;
      }
    } catch (error) {
      throw bucketError(error, this.#place, READ);
    } finally {
      clearTimeout(silent);
      body.destroy();
    }
  }

  #at(name: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#place.bucket, Key: `${this.#place.prefix}${name}` };
  }

  async #told<T>(what: Parameters<typeof bucketError>[2], act: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await act();
    } catch (error) {
      signal?.throwIfAborted();
      throw bucketError(error, this.#place, what);
    }
  }
}

function clientFor({ endpoint, region, credentials }: BucketConfig): S3Client {
  return new S3Client({
    // Servers of one's own have buckets in the path: names below their own are seldom resolved.
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    ...(region === null ? {} : { region }),
    ...(credentials === null ? {} : { credentials }),
    // Every archive has its digest; not every server knows S3's newer checksums.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    maxAttempts: 4,
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: SILENCE_MS, throwOnRequestTimeout: true },
  });
}

async function slice(file: FileHandle, from: number, length: number): Promise<Buffer> {
  const data = Buffer.alloc(length);
  let read = 0;
  while (read < length) {
    const { bytesRead } = await file.read(data, read, length - read, from + read);
    if (bytesRead === 0) throw new ToroidError("TOR_INTERNAL", "a packed artifact is shorter than it was");
    read += bytesRead;
  }
  return data;
}
