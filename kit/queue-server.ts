import { mkdir, realpath } from "node:fs/promises";
import type { Socket } from "node:net";
import { buildApp } from "fauxqs";
import { ToroidError } from "../protocol/errors.ts";
import { type Lock, tryLock } from "./lock.ts";
import { type KeptStores, openStores, type Stores } from "./queue-server/kept-queues.ts";

/** Loopback alone: it asks nobody who they are. */
const HOST = "127.0.0.1";
const ACCOUNT = "000000000000";
const REGION = "us-east-1";
/** How often a push may come back before it is set aside: enough for a few crashes of whoever handles it. */
const MAX_RECEIVES = 5;

/** What a client must say; the server believes anything. */
export const QUEUE_CREDENTIALS = { accessKeyId: "toroid", secretAccessKey: "toroid" } as const;
export const QUEUE_REGION: string = REGION;

export interface QueueServerOptions {
  /** 0: any free one. */
  readonly port: number;
  /** Where messages survive a restart; in memory alone when left out. */
  readonly dir?: string;
  readonly queueName?: string;
  readonly deadLetterName?: string;
  readonly visibilitySeconds?: number;
}

export interface RunningQueueServer extends AsyncDisposable {
  /** For an SQS client, with `QUEUE_REGION` and `QUEUE_CREDENTIALS`. */
  readonly endpoint: string;
  readonly port: number;
  readonly queueUrl: string;
  readonly deadLetterUrl: string;
  stop(): Promise<void>;
}

/**
 * An SQS-compatible queue in this process, for development and tests, with a queue for pushes and its dead-letter
 * queue. Give `port` and `dir` again to continue where the last one ended.
 *
 * @throws {ToroidError} TOR_ADDRESS_IN_USE when the port or the directory is taken.
 */
export async function startQueueServer(o: QueueServerOptions): Promise<RunningQueueServer> {
  const lock = o.dir === undefined ? undefined : await lockDir(o.dir);
  let stores: KeptStores | undefined;
  try {
    stores = await openStores(o.dir);
    return await listen(o, stores, lock);
  } catch (error) {
    stores?.close();
    await lock?.release();
    throw error;
  }
}

async function listen(o: QueueServerOptions, stores: KeptStores, lock: Lock | undefined): Promise<RunningQueueServer> {
  const app = buildApp({ logger: false, defaultRegion: REGION, stores });
  app.addHook("preSerialization", async (request, _reply, payload) => {
    if (isGone(request.socket)) giveBack(payload, stores.sqsStore);
    return payload;
  });
  const endpoint = await app.listen({ port: o.port, host: HOST }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE") throw error;
    const message = `cannot start the queue server: ${HOST}:${o.port} is in use by another program`;
    throw new ToroidError("TOR_ADDRESS_IN_USE", message, { host: HOST, port: o.port }, { cause: error });
  });
  let queues: ReturnType<typeof makeQueues>;
  try {
    queues = makeQueues(stores, endpoint, o);
  } catch (error) {
    await app.close(); // a disk that is full, for one
    throw error;
  }

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await app.close();
    stores.close();
    await lock?.release();
  };
  const stopOnce = (): Promise<void> => (stopping ??= stop());
  const { port } = new URL(endpoint);
  return { endpoint, port: Number(port), ...queues, stop: stopOnce, [Symbol.asyncDispose]: stopOnce };
}

function makeQueues(
  stores: Stores,
  endpoint: string,
  o: QueueServerOptions,
): Pick<RunningQueueServer, "queueUrl" | "deadLetterUrl"> {
  const queueName = o.queueName ?? "toroid";
  const deadLetterName = o.deadLetterName ?? `${queueName}-dlq`;
  const deadLetterUrl = makeQueue(stores, endpoint, deadLetterName, {});
  const queueUrl = makeQueue(stores, endpoint, queueName, {
    VisibilityTimeout: String(o.visibilitySeconds ?? 30),
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: arnOf(deadLetterName), maxReceiveCount: MAX_RECEIVES }),
  });
  return { queueUrl, deadLetterUrl };
}

/** Makes the queue, or brings the one from the directory to today's address and settings. */
function makeQueue(stores: Stores, endpoint: string, name: string, attributes: Record<string, string>): string {
  const url = `${endpoint}/${ACCOUNT}/${name}`;
  const known = stores.sqsStore.getQueueByName(name);
  if (known === undefined) stores.sqsStore.createQueue(name, url, arnOf(name), attributes);
  else Object.assign(known, { url }).setAttributes(attributes);
  return url;
}

/** Without this, a receiver that dies during a long poll takes the next message with it until its visibility ends. */
function giveBack(payload: unknown, sqs: Stores["sqsStore"]): void {
  const messages = (payload as { Messages?: readonly { ReceiptHandle: string }[] } | null)?.Messages ?? [];
  for (const queue of sqs.allQueues()) {
    for (const { ReceiptHandle } of messages) queue.changeVisibility(ReceiptHandle, 0);
  }
}

function isGone(socket: Socket): boolean {
  return socket.destroyed || socket.readableEnded || !socket.writable;
}

function arnOf(name: string): string {
  return `arn:aws:sqs:${REGION}:${ACCOUNT}:${name}`;
}

async function lockDir(dir: string): Promise<Lock> {
  await mkdir(dir, { recursive: true });
  const lock = await tryLock(`queue server ${await realpath(dir)}`);
  if (lock !== undefined) return lock;
  throw new ToroidError("TOR_ADDRESS_IN_USE", `another queue server of Toroid is running on ${dir}`, { dir });
}
