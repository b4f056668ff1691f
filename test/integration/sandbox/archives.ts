/** Archives by hand, byte for byte, so that they can be as wrong as an attacker's. */
const BLOCK = 512;
/** A capability of a file, as the kernel keeps it: version 2, effective, CAP_NET_RAW. */
export const CAPABILITY = Buffer.from([1, 0, 0, 2, 0, 32, ...Array<number>(14).fill(0)]);

export interface Entry {
  readonly name: string;
  /** A letter of the format: `0` file, `1` hard link, `2` symbolic link, `3` and `4` devices, `5` directory, `6` FIFO. */
  readonly type?: string;
  readonly data?: string | Uint8Array;
  /** What the header says; else the length of `data`. */
  readonly size?: number | string;
  readonly mode?: number;
  readonly uid?: number | string;
  readonly gid?: number;
  readonly mtime?: number;
  readonly link?: string;
  readonly device?: readonly [number, number];
  /** Records of an extended header before this one. */
  readonly pax?: Readonly<Record<string, string | Uint8Array>>;
  readonly prefix?: string;
  /** `ustar` as POSIX has it, unless said. */
  readonly magic?: string;
  /** Bytes at places of the header. */
  readonly raw?: readonly (readonly [number, Uint8Array | string])[];
  readonly checksum?: string;
}

export const FILE: Entry = { name: "file", data: "contents" };

/** With the two blocks of zeros at its end. */
export function archive(...entries: readonly (Entry | Uint8Array)[]): Buffer {
  return Buffer.concat([open(...entries), Buffer.alloc(2 * BLOCK)]);
}

/** Without its end. */
export function open(...entries: readonly (Entry | Uint8Array)[]): Buffer {
  return Buffer.concat(entries.map((one) => ("name" in one ? entry(one) : one)));
}

export function entry(e: Entry): Buffer {
  const data = typeof e.data === "string" ? Buffer.from(e.data, "latin1") : (e.data ?? Buffer.alloc(0));
  const extended = e.pax === undefined ? Buffer.alloc(0) : entry({ name: "pax", type: "x", data: records(e.pax) });
  return Buffer.concat([extended, header(e, data.length), padded(data)]);
}

/** Of an extended header: each begins with its own length. */
export function records(values: Readonly<Record<string, string | Uint8Array>>): Buffer {
  return Buffer.concat(Object.entries(values).map(([key, value]) => record(key, value)));
}

function record(key: string, value: string | Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`, "latin1"), Buffer.from(value), Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length += 1;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** GNU's way to say a name that does not fit: `L` before the entry, `K` for its link. */
export function long(type: "L" | "K", name: string): Buffer {
  return entry({ name: "././@LongLink", type, data: `${name}\0`, magic: "ustar  " });
}

function header(e: Entry, length: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const size = e.size ?? length;
  const put = (text: string, at: number, room: number): void => void block.write(text.slice(0, room), at, "latin1");
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, "0");
  put(e.name, 0, 100);
  put(octal(e.mode ?? 0o644, 7), 100, 8);
  put(typeof e.uid === "string" ? e.uid : octal(e.uid ?? 0, 7), 108, 8);
  put(octal(e.gid ?? 0, 7), 116, 8);
  put(typeof size === "string" ? size : octal(size, 11), 124, 12);
  put(octal(e.mtime ?? 1_000_000_000, 11), 136, 12);
  put(e.type ?? "0", 156, 1);
  put(e.link ?? "", 157, 100);
  put(e.magic ?? "ustar\x0000", 257, 8);
  const [major, minor] = e.device ?? [0, 0];
  put(octal(major, 7), 329, 8);
  put(octal(minor, 7), 337, 8);
  put(e.prefix ?? "", 345, 155);
  for (const [at, bytes] of e.raw ?? [])
    block.set(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes, at);
  put("        ", 148, 8);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(e.checksum ?? `${octal(sum, 6)}\0 `, 148, 8);
  return block;
}

function padded(data: Uint8Array): Buffer {
  return Buffer.concat([data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);
}

/** A file `s` in GNU's format 1.0: its map, as text, is at the head of its contents. */
export function sparse(pax: Readonly<Record<string, string>>, map = "1\n4096\n512\n", length = 512): Buffer {
  const text = Buffer.alloc(Math.ceil(map.length / 512) * 512);
  text.write(map);
  return entry({
    name: "GNUSparseFile.0/s",
    data: Buffer.concat([text, Buffer.alloc(length, "s")]),
    pax: {
      "GNU.sparse.major": "1",
      "GNU.sparse.minor": "0",
      "GNU.sparse.name": "s",
      "GNU.sparse.realsize": "8192",
      ...pax,
    },
  });
}
