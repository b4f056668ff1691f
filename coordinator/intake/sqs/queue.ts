import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { deadLetter } from "./dead-letter.ts";
import { queueErrorAt } from "./queue-errors.ts";

export interface QueueConfig {
  /** As SQS returned it: never built from parts. */
  readonly url: string;
  /** null: what is refused is kept as a dead letter of ours only. */
  readonly deadLetterUrl: string | null;
  /** null: AWS's own, by region. */
  readonly endpoint: string | null;
  /** null: as the environment or the profile says. */
  readonly region: string | null;
  /** null: the SDK's default chain (environment, profile, role). */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | null;
  /** How long a message in hand stays hidden without a sign of life. Default 30. */
  readonly visibilitySeconds?: number;
  /** How long one receive waits for a message, and so how long a stop may take. Default 1. */
  readonly waitSeconds?: number;
}

/** A message in hand. */
export interface Delivery {
  readonly id: string;
  readonly receipt: string;
  readonly text: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly original: Readonly<Record<string, MessageAttributeValue>>;
  /** How often it was received, this time included. */
  readonly receives: number;
}

/** One queue and its dead-letter queue. */
export interface Queue extends Disposable {
  readonly visibilitySeconds: number;
  /** Up to `max` messages, as soon as there is one; none when none came. `hard` abandons it, at a risk. */
  receive(max: number, hard: AbortSignal): Promise<readonly Delivery[]>;
  remove(delivery: Delivery): Promise<void>;
  /** Nobody sees it for so long from now; 0 gives it back. */
  hide(delivery: Delivery, seconds: number): Promise<void>;
  /** Out of the queue; to the dead-letter queue with its reason, if there is one. */
  bury(delivery: Delivery, reason: string): Promise<void>;
}

const CONNECT_MS = 3_000;
const ANSWER_MS = 10_000;

/**
 * A client for the queue, after asking it and its dead-letter queue whether they are there. Needs the permissions
 * sqs:GetQueueAttributes, ReceiveMessage, DeleteMessage and ChangeMessageVisibility, and SendMessage on the other.
 *
 * @throws {ToroidError} TOR_QUEUE_UNREACHABLE, or TOR_CONFIG_INVALID for a queue, key or region that is not right.
 */
export async function openQueue(config: QueueConfig): Promise<Queue> {
  const waitSeconds = config.waitSeconds ?? 1;
  const client = makeClient(config, waitSeconds);
  try {
    for (const url of [config.url, config.deadLetterUrl]) if (url !== null) await check(client, url);
  } catch (error) {
    client.destroy();
    throw error;
  }
  return queueOf(client, config, waitSeconds);
}

function queueOf(client: SQSClient, config: QueueConfig, waitSeconds: number): Queue {
  const { url: QueueUrl, deadLetterUrl, visibilitySeconds = 30 } = config;
  const remove = async ({ receipt }: Delivery): Promise<void> => {
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: receipt }));
  };
  const hide = async ({ receipt }: Delivery, seconds: number): Promise<void> => {
    const o = { QueueUrl, ReceiptHandle: receipt, VisibilityTimeout: seconds };
    await client.send(new ChangeMessageVisibilityCommand(o));
  };
  return {
    visibilitySeconds,
    async receive(max, hard) {
      const command = new ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: max,
        WaitTimeSeconds: waitSeconds,
        VisibilityTimeout: visibilitySeconds,
        MessageAttributeNames: ["All"],
        MessageSystemAttributeNames: ["ApproximateReceiveCount"],
      });
      const { Messages = [] } = await client.send(command, { abortSignal: hard });
      return Messages.map(deliveryOf);
    },
    remove,
    hide,
    async bury(delivery, reason) {
      if (deadLetterUrl === null) return remove(delivery);
      const { body, attributes } = deadLetter(delivery.text, delivery.original, reason);
      const fifo = deadLetterUrl.endsWith(".fifo")
        ? { MessageGroupId: "refused", MessageDeduplicationId: delivery.id }
        : {};
      const o = { QueueUrl: deadLetterUrl, MessageBody: body, MessageAttributes: attributes, ...fifo };
      await client.send(new SendMessageCommand(o));
      await remove(delivery);
    },
    [Symbol.dispose]: () => client.destroy(),
  };
}

export function makeClient({ endpoint, region, credentials }: QueueConfig, waitSeconds: number): SQSClient {
  return new SQSClient({
    ...(endpoint === null ? {} : { endpoint }),
    ...(region === null ? {} : { region }),
    ...(credentials === null ? {} : { credentials }),
    useQueueUrlAsEndpoint: endpoint === null,
    maxAttempts: 2,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: waitSeconds * 1_000 + ANSWER_MS,
      throwOnRequestTimeout: true,
    },
  });
}

async function check(client: SQSClient, url: string): Promise<void> {
  try {
    await client.send(new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["QueueArn"] }));
  } catch (error) {
    throw queueErrorAt(url, error);
  }
}

function deliveryOf({ MessageId, ReceiptHandle, Body, Attributes, MessageAttributes = {} }: Message): Delivery {
  const texts = Object.entries(MessageAttributes).flatMap(([name, { StringValue }]) =>
    StringValue === undefined ? [] : [[name, StringValue] as const],
  );
  return {
    id: MessageId ?? "",
    receipt: ReceiptHandle ?? "",
    text: Body ?? "",
    attributes: Object.fromEntries(texts),
    original: MessageAttributes,
    receives: Number(Attributes?.["ApproximateReceiveCount"] ?? 1),
  };
}
