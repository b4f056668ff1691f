import type { DatabaseSync } from "node:sqlite";
import type { buildApp } from "fauxqs";

export type Stores = NonNullable<NonNullable<Parameters<typeof buildApp>[0]>["stores"]>;

/** The part of fauxqs's write-through store that we touch. */
interface Persistence {
  db: DatabaseSync;
  updateMessageReady(messageId: string): void;
  loadSqsAndSns(sqs: Stores["sqsStore"], sns: Stores["snsStore"]): void;
  close(): void;
}

interface Internals {
  readonly SqsStore: new () => Stores["sqsStore"];
  readonly SnsStore: new () => Stores["snsStore"];
  readonly S3Store: new () => Stores["s3Store"];
  readonly PersistenceManager: new (dir: string) => Persistence;
}

export interface KeptStores extends Stores {
  close(): void;
}

/**
 * The stores of a fauxqs server; with a directory, every change is in its database before it is answered, and what
 * the directory holds is loaded first.
 *
 * Made from fauxqs's own parts and not by its `startFauxqs`, which listens on every interface of the machine whatever
 * it is told, and whose database refuses a message that is given back (visibility 0), so that it is gone until the
 * next start. The tests of this file's user show both when a new version changes them.
 */
export async function openStores(dir: string | undefined): Promise<KeptStores> {
  const { SqsStore, SnsStore, S3Store, PersistenceManager } = await internals();
  const stores = { sqsStore: new SqsStore(), snsStore: new SnsStore(), s3Store: new S3Store() };
  // Left alone, queue URLs get names below `localhost` that not every machine resolves.
  stores.sqsStore.host = "";
  if (dir === undefined) return { ...stores, close: () => undefined };

  const kept = new PersistenceManager(dir);
  const giveBack = kept.db.prepare(
    "UPDATE sqs_messages SET receipt_handle = NULL, visibility_deadline = NULL WHERE message_id = ?",
  );
  kept.updateMessageReady = (messageId) => void giveBack.run(messageId);
  kept.loadSqsAndSns(stores.sqsStore, stores.snsStore);
  Object.assign(stores.sqsStore, { persistence: kept });
  Object.assign(stores.snsStore, { persistence: kept });
  for (const queue of stores.sqsStore.allQueues()) Object.assign(queue, { persistence: kept });
  return { ...stores, close: () => kept.close() };
}

async function internals(): Promise<Internals> {
  const entry = import.meta.resolve("fauxqs");
  const files = ["sqs/sqsStore.js", "sns/snsStore.js", "s3/s3Store.js", "persistence.js"];
  const modules = await Promise.all(files.map((file) => import(new URL(file, entry).href)));
  return Object.assign({}, ...modules) as Internals;
}
