/** The API beside builds and environments: dead letters, the record of changes, notifications, tokens, settings. */
import type { MadeToken, TokenScope, TokenView } from "../../protocol/access.ts";
import type { AuditPage } from "../../protocol/audit.ts";
import type { DeliveryPage, DeliverySummary, TargetSummary } from "../../protocol/delivery.ts";
import type { LetterSummary } from "../../protocol/letter.ts";
import { ask } from "./api.ts";
import { withQuery } from "./location.ts";

export interface LetterList {
  readonly letters: readonly LetterSummary[];
  readonly next: string | null;
}

export function fetchLetters(state: string, before: string | null): Promise<LetterList> {
  return ask<LetterList>(withQuery("/api/v1/dead-letters", { state, before }));
}

/** With all of its body. */
export function fetchLetter(id: string): Promise<LetterSummary> {
  return ask<LetterSummary>(`/api/v1/dead-letters/${id}`);
}

export function replayLetter(id: string, reason: string): Promise<LetterSummary> {
  return ask<LetterSummary>(`/api/v1/dead-letters/${id}/replay`, { reason });
}

export function discardLetter(id: string, reason: string): Promise<LetterSummary> {
  return ask<LetterSummary>(`/api/v1/dead-letters/${id}/discard`, { reason });
}

export interface AuditFilter {
  readonly who: string | null;
  readonly target: string | null;
}

export function fetchAudit(filter: AuditFilter, before: string | null): Promise<AuditPage> {
  return ask<AuditPage>(withQuery("/api/v1/audit", { who: filter.who, target: filter.target, before }));
}

export function fetchDeliveries(before: string | null): Promise<DeliveryPage> {
  return ask<DeliveryPage>(withQuery("/api/v1/deliveries", { before }));
}

export function retryDelivery({ id }: DeliverySummary, reason: string): Promise<DeliverySummary> {
  return ask<DeliverySummary>(`/api/v1/deliveries/${encodeURIComponent(id)}/retry`, { reason });
}

export function fetchTargets(): Promise<{ readonly targets: readonly TargetSummary[] }> {
  return ask<{ readonly targets: readonly TargetSummary[] }>("/api/v1/targets");
}

export async function testTarget({ name }: TargetSummary, reason: string): Promise<void> {
  await ask(`/api/v1/targets/${encodeURIComponent(name)}/test`, { reason });
}

export interface TokenWish {
  readonly name: string;
  readonly scope: TokenScope;
  /** Null: all. */
  readonly repositories: readonly string[] | null;
  /** Null: it never expires. */
  readonly days: number | null;
}

export function fetchTokens(): Promise<{ readonly tokens: readonly TokenView[] }> {
  return ask<{ readonly tokens: readonly TokenView[] }>("/api/v1/tokens");
}

export function createToken(wish: TokenWish): Promise<MadeToken> {
  return ask<MadeToken>("/api/v1/tokens", wish);
}

export async function removeToken({ id }: TokenView): Promise<void> {
  await ask(`/api/v1/tokens/${encodeURIComponent(id)}`, {}, "DELETE");
}

/** What of the coordinator's configuration is no secret. */
export interface SettingsShown {
  readonly version: string;
  readonly protocol: number;
  readonly queue: { readonly url: string; readonly deadLetterUrl: string | null } | null;
  readonly pool: string;
  readonly keep: { readonly buildsDays: number | null; readonly logsDays: number };
  readonly store: { readonly bytes: number; readonly replicas: number; readonly ok: boolean; readonly says: string };
  readonly amis: { readonly system: string; readonly regions: readonly string[] };
}

export function fetchSettings(): Promise<SettingsShown> {
  return ask<SettingsShown>("/api/v1/settings");
}
