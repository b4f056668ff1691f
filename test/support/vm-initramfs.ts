import { gzipSync } from "node:zlib";

/** A file or directory (no content) of the archive that a kernel unpacks as its first root. */
export interface Entry {
  readonly name: string;
  readonly content?: Uint8Array;
}

const FOLDER = 0o40755;
const FILE = 0o100755;

/** The archive as the kernel reads it: cpio, format "newc", compressed. Parents come before what is in them. */
export function packInitramfs(entries: readonly Entry[]): Uint8Array {
  const end: Entry = { name: "TRAILER!!!", content: Buffer.alloc(0) };
  return gzipSync(Buffer.concat([...entries, end].map((entry, index) => record(entry, index + 1))), { level: 1 });
}

function record({ name, content }: Entry, inode: number): Buffer {
  const data = content ?? Buffer.alloc(0);
  const nameBytes = Buffer.from(`${name}\0`);
  const mode = content === undefined ? FOLDER : FILE;
  const links = content === undefined ? 2 : 1;
  // inode mode uid gid links mtime size, the device's numbers, the special file's, length of the name, no checksum
  const numbers = [inode, mode, 0, 0, links, 0, data.length, 0, 0, 0, 0, nameBytes.length, 0];
  const head = Buffer.from(`070701${numbers.map((number) => number.toString(16).padStart(8, "0")).join("")}`);
  return Buffer.concat([padded(Buffer.concat([head, nameBytes])), padded(data)]);
}

function padded(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
