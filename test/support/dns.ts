/** A resolver of the test's own: it knows the names that it is told, and counts what it is asked. */
import { createSocket } from "node:dgram";
import { once } from "node:events";

const HEAD_BYTES = 12;
const TYPE_A = 1;
const NO_SUCH_NAME = 3;

export interface DnsServer extends AsyncDisposable {
  /** Each question for an IPv4 address, in order. */
  readonly asked: readonly string[];
}

/** @param names to their IPv4 addresses; null: it never answers for that one */
export async function serveDns(
  address: string,
  port: number,
  names: Readonly<Record<string, readonly string[] | null>>,
): Promise<DnsServer> {
  const socket = createSocket("udp4");
  const asked: string[] = [];
  socket.on("message", (query, from) => {
    const { name, type, end } = questionOf(query);
    if (type === TYPE_A) asked.push(name);
    const known = Object.hasOwn(names, name) ? names[name] : undefined;
    if (known === null) return;
    const addresses = type === TYPE_A ? (known ?? []) : [];
    socket.send(
      answer(query.subarray(0, end), known === undefined ? NO_SUCH_NAME : 0, addresses),
      from.port,
      from.address,
    );
  });
  socket.bind(port, address);
  await once(socket, "listening");
  return {
    asked,
    async [Symbol.asyncDispose]() {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    },
  };
}

function questionOf(query: Buffer): { readonly name: string; readonly type: number; readonly end: number } {
  const labels: string[] = [];
  let at = HEAD_BYTES;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function answer(question: Buffer, code: number, addresses: readonly string[]): Buffer {
  const head = Buffer.from(question.subarray(0, HEAD_BYTES));
  head.writeUInt16BE(0x8180 | code, 2); // an answer, of one who may be asked about everything
  head.writeUInt16BE(addresses.length, 6);
  head.fill(0, 8, HEAD_BYTES);
  const records = addresses.map((address) => {
    const record = Buffer.from([0xc0, HEAD_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4]);
    return Buffer.concat([record, Buffer.from(address.split(".").map(Number))]);
  });
  return Buffer.concat([head, question.subarray(HEAD_BYTES), ...records]);
}
