/** The record of changes: one entry for each that was asked for, read back newest first. */
import { type Jet, readFrom } from "../../kit/jetstream.ts";
import { type AuditEntry, type AuditRecord, auditRecord } from "../../protocol/audit.ts";
import { AUDIT } from "../../protocol/streams.ts";
import { auditSubject } from "../../protocol/subjects.ts";

const ALL = "toroid.audit.*";
const WINDOW = 256;
/** How far one question looks back; whoever asks for what is rare goes on with `next`. */
const MOST_WINDOWS = 16;
const TEXT_CHARACTERS = 500;

export interface AuditQuery {
  /** Only entries before this sequence; null: from the newest on. */
  readonly before: number | null;
  readonly limit: number;
  readonly wanted: (record: AuditRecord) => boolean;
}

export interface AuditLog {
  write(record: AuditRecord): Promise<void>;
  read(query: AuditQuery): Promise<{ readonly entries: readonly AuditEntry[]; readonly next: number | null }>;
}

export function openAudit(jet: Jet): AuditLog {
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();

  async function window(from: number, to: number): Promise<readonly AuditEntry[]> {
    const found = await readFrom(jet, AUDIT.name, ALL, from, to - from);
    return found.flatMap(({ seq, data }) => {
      if (seq >= to) return [];
      const read = auditRecord.safeParse(parsed(decoder.decode(data)));
      // Others may publish here; what is no entry is none.
      return read.success ? [{ ...read.data, seq }] : [];
    });
  }

  return {
    async write(record) {
      const done = record.status < 400;
      const short = { ...record, why: cut(record.why), target: cut(record.target) };
      await jet.js.publish(auditSubject(done), encoder.encode(JSON.stringify(short)));
    },
    async read({ before, limit, wanted }) {
      const { first_seq, last_seq } = (await jet.jsm.streams.info(AUDIT.name)).state;
      const entries: AuditEntry[] = [];
      let to = Math.min(before ?? Number.MAX_SAFE_INTEGER, last_seq + 1);
      for (let windows = 0; windows < MOST_WINDOWS && to > first_seq; windows += 1) {
        const from = Math.max(first_seq, to - WINDOW);
        for (const entry of (await window(from, to)).toReversed()) {
          if (!wanted(entry)) continue;
          if (entries.length === limit) return { entries, next: entries.at(-1)?.seq ?? to };
          entries.push(entry);
        }
        to = from;
      }
      return { entries, next: to > first_seq ? to : null };
    },
  };
}

function cut(text: string): string {
  return text.length > TEXT_CHARACTERS ? `${text.slice(0, TEXT_CHARACTERS - 1)}…` : text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
