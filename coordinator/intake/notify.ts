/** Sends the push message that a forge would send; for the hook of a plain git server. */
import { randomUUID } from "node:crypto";
import { SendMessageCommand } from "@aws-sdk/client-sqs";
import { makeClient } from "./sqs/queue.ts";
import { queueErrorAt } from "./sqs/queue-errors.ts";
import type { QueueConfig } from "./sqs.ts";

export interface RefChange {
  readonly before: string;
  readonly after: string;
  readonly ref: string;
}

export interface Notice {
  readonly repository: string;
  readonly remote: string;
  readonly change: RefChange;
  /** Of the new commit; a deleted ref has none. */
  readonly head: { readonly message: string; readonly author: string; readonly commit: string } | null;
  readonly defaultBranch: string | null;
}

const ZEROS = /^0+$/;

/** The part of a forge's push payload that intake reads. */
export function payloadOf({ repository, remote, change, head, defaultBranch }: Notice): object {
  const [owner = "", ...rest] = repository.split("/");
  return {
    ref: change.ref,
    before: change.before,
    after: change.after,
    created: ZEROS.test(change.before),
    deleted: ZEROS.test(change.after),
    forced: false,
    commits: [],
    head_commit:
      head === null
        ? null
        : {
            id: head.commit,
            message: head.message,
            author: { name: head.author },
            added: [],
            removed: [],
            modified: [],
          },
    repository: {
      id: null,
      name: rest.join("/"),
      full_name: repository,
      owner: { login: owner },
      clone_url: remote,
      ssh_url: null,
      default_branch: defaultBranch,
    },
    pusher: { name: head?.author ?? "git" },
  };
}

/** @throws {ToroidError} TOR_QUEUE_UNREACHABLE or TOR_CONFIG_INVALID, in one sentence. */
export async function notifyQueue(config: QueueConfig, notices: readonly Notice[]): Promise<void> {
  const client = makeClient(config, 0);
  try {
    for (const notice of notices) {
      await client.send(
        new SendMessageCommand({
          QueueUrl: config.url,
          MessageBody: JSON.stringify(payloadOf(notice)),
          MessageAttributes: {
            "X-GitHub-Event": { DataType: "String", StringValue: "push" },
            "X-GitHub-Delivery": { DataType: "String", StringValue: randomUUID() },
          },
        }),
      );
    }
  } catch (error) {
    throw queueErrorAt(config.url, error);
  } finally {
    client.destroy();
  }
}
