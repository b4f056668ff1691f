import { z } from "zod";

/** One change that somebody asked for over HTTP, done or refused: JSON on TOROID_AUDIT, for people to read. */
export const auditRecord = z.looseObject({
  atMs: z.number(),
  /** Whose name it is in; `anonymous` when nobody was signed in. */
  who: z.string(),
  /** How that is known: `local`, `session`, `token NAME`, `nobody`. */
  via: z.string(),
  /** The address that it came from. */
  from: z.string(),
  /** In a word (`pause`), or the route's method and pattern. */
  action: z.string(),
  /** `acme/api#42`, `acme/api prod`, an executor; empty when it is about nothing that has a name. */
  target: z.string(),
  /** Whose readers may see this; null: those who may read everything. */
  repository: z.string().nullable(),
  why: z.string(),
  /** Of the answer. */
  status: z.number().int(),
  /** The error's code, when it was refused. */
  code: z.string().nullable().default(null),
  requestId: z.string(),
});
export type AuditRecord = z.infer<typeof auditRecord>;

/** With its sequence in the stream, by which lists page. */
export const auditEntry = auditRecord.extend({ seq: z.number().int().positive() });
export type AuditEntry = z.infer<typeof auditEntry>;

export const auditPage = z.looseObject({
  entries: z.array(auditEntry),
  /** `before` of the page after this one; null: there is none. */
  next: z.string().nullable(),
});
export type AuditPage = z.infer<typeof auditPage>;
