/** The SFTP subsystem, version 3, as Packer, Ansible and OpenSSH's `sftp` use it. One request after the other. */
import ssh2, { type Attributes, type SFTPWrapper } from "ssh2";
import { type Entry, Reading, SftpFailure, SftpFiles, Writing, word } from "./sftp-files.ts";
import type { Target } from "./target.ts";

const { OPEN_MODE, STATUS_CODE } = ssh2.utils.sftp;
/** In one answer: it is one packet. */
const NAMES_MOST = 50;

/** A directory that is read: what is left of it. */
interface Listing {
  readonly path: string;
  entries: readonly Entry[];
}
type Handle = Reading | Writing | Listing;

/** Answers until the client has gone. */
export function serveSftp(sftp: SFTPWrapper, target: Target): void {
  const files = new SftpFiles(target);
  const handles = new Map<number, Handle>();
  let count = 0;
  let last = Promise.resolve();

  /** Requests wait for those before them: a client may go on before it has an answer. */
  const on = (event: string, act: (id: number, ...args: never[]) => Promise<void>): void => {
    sftp.on(event, (id: number, ...args: never[]) => {
      last = last.then(() => act(id, ...args)).catch((error: unknown) => refuse(sftp, id, error));
    });
  };
  const done = (id: number): void => sftp.status(id, STATUS_CODE.OK);
  const opened = (id: number, handle: Handle): void => {
    const name = Buffer.alloc(4);
    name.writeUInt32BE(++count);
    handles.set(count, handle);
    sftp.handle(id, name);
  };
  const found = (name: Buffer): Handle => {
    const handle = name.length === 4 ? handles.get(name.readUInt32BE()) : undefined;
    if (handle === undefined) throw new SftpFailure("no such handle");
    return handle;
  };
  const change = async (id: number, path: string, attributes: Attributes): Promise<void> => {
    // Before its file is closed: then what was written so far has to be there, or to be told.
    for (const handle of handles.values()) {
      if (handle instanceof Writing && handle.path === path) await handle.finish();
    }
    await files.change(path, attributes);
    done(id);
  };
  const simply = (event: string, commandOf: (path: string, other: string) => string): void =>
    on(event, async (id, path: string, other: string) => {
      await files.ask(commandOf(path, other));
      done(id);
    });

  on("OPEN", async (id, path: string, flags: number, attributes: Attributes) => {
    if ((flags & OPEN_MODE.WRITE) === 0) return opened(id, await files.reading(path));
    if ((flags & OPEN_MODE.CREAT) === 0) await files.ask(`stat -c %s ${word(path)}`);
    if ((flags & OPEN_MODE.EXCL) !== 0) await files.ask(`[ ! -e ${word(path)} ]`);
    const how = (flags & OPEN_MODE.APPEND) !== 0 ? ">>" : (flags & OPEN_MODE.TRUNC) !== 0 ? ">" : "1<>";
    const handle = await files.writing(path, how);
    const { mode } = attributes as Partial<Attributes>;
    if (mode !== undefined) await files.change(path, { mode });
    opened(id, handle);
  });
  on("CLOSE", async (id, name: Buffer) => {
    const handle = found(name);
    handles.delete(name.readUInt32BE());
    if ("close" in handle) await handle.close();
    done(id);
  });
  on("READ", async (id, name: Buffer, at: number, most: number) => {
    const handle = found(name);
    if (!(handle instanceof Reading)) throw new SftpFailure("it is not open for reading");
    const data = await handle.read(at, most);
    if (data.length === 0) sftp.status(id, STATUS_CODE.EOF);
    else sftp.data(id, data);
  });
  on("WRITE", async (id, name: Buffer, at: number, data: Buffer) => {
    const handle = found(name);
    if (!(handle instanceof Writing)) throw new SftpFailure("it is not open for writing");
    await handle.write(at, Buffer.from(data));
    done(id);
  });
  on("STAT", async (id, path: string) => sftp.attrs(id, await files.attributes(path, true)));
  on("LSTAT", async (id, path: string) => sftp.attrs(id, await files.attributes(path, false)));
  on("FSTAT", async (id, name: Buffer) => {
    const handle = found(name);
    const attributes = await files.attributes(handle.path, true);
    sftp.attrs(id, handle instanceof Reading ? { ...attributes, size: await handle.size() } : attributes);
  });
  on("SETSTAT", change);
  on("FSETSTAT", async (id, name: Buffer, attributes: Attributes) => change(id, found(name).path, attributes));
  on("OPENDIR", async (id, path: string) => opened(id, { path, entries: await files.list(path) }));
  on("READDIR", async (id, name: Buffer) => {
    const handle = found(name);
    if (!("entries" in handle)) throw new SftpFailure("it is no directory");
    const entries = handle.entries.slice(0, NAMES_MOST);
    handle.entries = handle.entries.slice(NAMES_MOST);
    if (entries.length === 0) sftp.status(id, STATUS_CODE.EOF);
    else sftp.name(id, [...entries]);
  });
  on("REALPATH", async (id, path: string) => sendName(sftp, id, await files.ask(`readlink -f ${word(path)}`)));
  on("READLINK", async (id, path: string) => sendName(sftp, id, await files.ask(`readlink ${word(path)}`)));
  on("MKDIR", async (id, path: string, attributes: Attributes) => {
    await files.ask(`mkdir ${word(path)}`);
    const { mode } = attributes as Partial<Attributes>;
    if (mode !== undefined) await files.change(path, { mode });
    done(id);
  });
  simply("RMDIR", (path) => `rmdir ${word(path)}`);
  simply("REMOVE", (path) => `rm ${word(path)}`);
  simply("RENAME", (from, to) => `[ ! -e ${word(to)} ] && mv ${word(from)} ${word(to)}`);
  // In this order, whatever the types say.
  simply("SYMLINK", (path, to) => `ln -s ${word(to)} ${word(path)}`);
  // Packer waits for the channel to end, and would do so for ever.
  sftp.on("end", () => {
    last = last
      .then(() => Promise.allSettled([...handles.values()].map(async (one) => "close" in one && one.close())))
      .then(() => sftp.end());
  });
}

function refuse(sftp: SFTPWrapper, id: number, error: unknown): void {
  const reason = error instanceof SftpFailure ? error.reason : "failed";
  const code = {
    missing: STATUS_CODE.NO_SUCH_FILE,
    denied: STATUS_CODE.PERMISSION_DENIED,
    failed: STATUS_CODE.FAILURE,
  };
  sftp.status(id, code[reason], error instanceof Error ? error.message : String(error));
}

function sendName(sftp: SFTPWrapper, id: number, said: string): void {
  const filename = said.replace(/\n$/, "");
  sftp.name(id, [{ filename, longname: filename, attrs: { mode: 0, uid: 0, gid: 0, size: 0, atime: 0, mtime: 0 } }]);
}
