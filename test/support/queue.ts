import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { QUEUE_CREDENTIALS, QUEUE_REGION, type RunningQueueServer, startQueueServer } from "../../kit/queue-server.ts";
import { type TempDir, tempDir } from "./temp.ts";

export interface Counts {
  readonly waiting: number;
  /** Received and neither deleted nor given back. */
  readonly inFlight: number;
}

/** A real SQS-compatible server with a queue and its dead-letter queue: gone at the end of the block that holds it. */
export class QueueServer implements AsyncDisposable {
  readonly client: SQSClient;
  readonly #dir: TempDir;
  readonly #visibilitySeconds: number;
  #running: RunningQueueServer;

  private constructor(dir: TempDir, visibilitySeconds: number, running: RunningQueueServer) {
    this.#dir = dir;
    this.#visibilitySeconds = visibilitySeconds;
    this.#running = running;
    this.client = new SQSClient({
      endpoint: running.endpoint,
      region: QUEUE_REGION,
      credentials: QUEUE_CREDENTIALS,
      maxAttempts: 1,
    });
  }

  static async start({ visibilitySeconds = 30 }: { readonly visibilitySeconds?: number } = {}): Promise<QueueServer> {
    const dir = await tempDir("toroid-sqs-");
    try {
      const running = await startQueueServer({ port: 0, dir: dir.path, visibilitySeconds });
      return new QueueServer(dir, visibilitySeconds, running);
    } catch (error) {
      await dir[Symbol.asyncDispose]();
      throw error;
    }
  }

  get endpoint(): string {
    return this.#running.endpoint;
  }

  get queueUrl(): string {
    return this.#running.queueUrl;
  }

  get deadLetterUrl(): string {
    return this.#running.deadLetterUrl;
  }

  /** Sends `body` as it is, or as JSON when it is not a string; answers the message's id. */
  async send(body: unknown, attributes: Readonly<Record<string, string>> = {}): Promise<string> {
    const typed = Object.entries(attributes).map(([name, value]): [string, MessageAttributeValue] => [
      name,
      { DataType: "String", StringValue: value },
    ]);
    const { MessageId } = await this.client.send(
      new SendMessageCommand({
        QueueUrl: this.queueUrl,
        MessageBody: typeof body === "string" ? body : JSON.stringify(body),
        MessageAttributes: Object.fromEntries(typed),
      }),
    );
    return MessageId ?? "";
  }

  async receive(
    o: { readonly waitSeconds?: number; readonly max?: number; readonly url?: string } = {},
  ): Promise<Message[]> {
    const { Messages } = await this.client.send(
      new ReceiveMessageCommand({
        QueueUrl: o.url ?? this.queueUrl,
        MaxNumberOfMessages: o.max ?? 10,
        WaitTimeSeconds: o.waitSeconds ?? 0,
        MessageAttributeNames: ["All"],
        MessageSystemAttributeNames: ["All"],
      }),
    );
    return Messages ?? [];
  }

  async delete(message: Message): Promise<void> {
    const { ReceiptHandle } = message;
    await this.client.send(new DeleteMessageCommand({ QueueUrl: this.queueUrl, ReceiptHandle }));
  }

  async counts(url: string = this.queueUrl): Promise<Counts> {
    const { Attributes } = await this.client.send(
      new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["All"] }),
    );
    return {
      waiting: Number(Attributes?.["ApproximateNumberOfMessages"]),
      inFlight: Number(Attributes?.["ApproximateNumberOfMessagesNotVisible"]),
    };
  }

  /** Stops and starts it on the same port with the same messages. */
  async restart(): Promise<void> {
    const { port } = this.#running;
    await this.#running.stop();
    this.#running = await startQueueServer({ port, dir: this.#dir.path, visibilitySeconds: this.#visibilitySeconds });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy();
    await this.#running.stop();
    await this.#dir[Symbol.asyncDispose]();
  }
}
