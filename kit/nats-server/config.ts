/** What a server that we run is told; everything else is its default. */
export interface Settings {
  readonly storeDir: string;
  readonly portsDir: string;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Sync to disk before each acknowledgement: what was acknowledged survives a loss of power. */
  readonly syncAlways: boolean;
  /** What all streams together may reserve on disk. */
  readonly maxFileBytes: number;
  readonly maxPayloadBytes: number;
  readonly name?: string | undefined;
  /** Serves `/varz` and its like over http; none when left out. */
  readonly monitorPort?: number | undefined;
}

const MEMORY_STORE_BYTES = 64 * 1024 * 1024;

/** The configuration file of nats-server for `s`. */
export function configText(s: Settings): string {
  const lines = [
    "# Written at every start: edits are lost.",
    ...(s.name === undefined ? [] : [`server_name: ${quoted(s.name)}`]),
    `host: ${quoted(s.host)}`,
    `port: ${anyPort(s.port)}`,
    ...(s.monitorPort === undefined ? [] : [`http: ${quoted(`${s.host}:${anyPort(s.monitorPort)}`)}`]),
    `max_payload: ${s.maxPayloadBytes}`,
    `ports_file_dir: ${quoted(s.portsDir)}`,
    "jetstream {",
    `  store_dir: ${quoted(s.storeDir)}`,
    `  max_memory_store: ${MEMORY_STORE_BYTES}`,
    `  max_file_store: ${s.maxFileBytes}`,
    ...(s.syncAlways ? ["  sync_interval: always"] : []),
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

/** nats-server asks the system for a free port at -1; 0 would mean its default. */
function anyPort(port: number): number {
  return port === 0 ? -1 : port;
}

/** The format's double-quoted strings know the escapes of JSON that a path can need. */
function quoted(text: string): string {
  return JSON.stringify(text);
}
