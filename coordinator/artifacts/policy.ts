/** What of the things in EC2 is to go, and why each other stays. Pure. */
import type { AmiConfig } from "../config.ts";
import type { Group } from "./groups.ts";
import type { Kind, Thing } from "./inventory.ts";
import type { Use, Uses } from "./uses.ts";
import type { Whereabouts } from "./whereabouts.ts";

export interface Known extends Group {
  readonly where: Whereabouts;
}

export interface Ruling {
  readonly group: Known;
  /** Whether the images go, with their snapshots, and why, or why not. Null: it has none. */
  readonly images: { readonly go: boolean; readonly why: string } | null;
  /** What else of it goes: it was left by a bake that has ended. */
  readonly leftovers: readonly Thing[];
  /** What does not go yet. */
  readonly spared: readonly { readonly thing: Thing; readonly why: string }[];
}

export interface Rules extends Pick<AmiConfig, "sweepAfterMs" | "keep"> {
  readonly nowMs: number;
  /** When a thing was first seen here, for those of which EC2 does not say when they were made. */
  readonly seenAtMs: (thing: Thing) => number;
}

export function rule(groups: readonly Known[], uses: Uses, rules: Rules): readonly Ruling[] {
  const ranks = ranksOf(groups, uses);
  return groups.map((group) => {
    const leftovers: Thing[] = [];
    const spared: { thing: Thing; why: string }[] = [];
    const images = group.images.length === 0 ? null : ruleImages(group, uses, ranks.get(group) ?? 0, rules);
    for (const thing of [...group.others, ...group.snapshots]) {
      const why = whySpared(group, thing, rules);
      if (why === null) leftovers.push(thing);
      else spared.push({ thing, why });
    }
    return { group, images, leftovers: leftovers.sort((a, b) => ORDER[a.kind] - ORDER[b.kind]), spared };
  });
}

/** What uses others goes before them. */
const ORDER: Readonly<Record<Kind, number>> = {
  instance: 0,
  volume: 1,
  "security group": 2,
  "key pair": 3,
  image: 4,
  snapshot: 5,
};

/** Why something that is no image may not be removed yet; null: it may. */
function whySpared({ where }: Known, thing: Thing, { nowMs, sweepAfterMs, seenAtMs }: Rules): string | null {
  if (where.kind === "baking") return "it is being baked with";
  const sinceMs = Math.max(thing.createdAtMs ?? seenAtMs(thing), where.endedAtMs ?? 0);
  if (nowMs - sinceMs >= sweepAfterMs) return null;
  return `its bake has not ended long enough ago: it goes after ${new Date(sinceMs + sweepAfterMs).toISOString()}`;
}

function ruleImages(group: Known, uses: Uses, rank: number, rules: Rules): NonNullable<Ruling["images"]> {
  const stays = (why: string) => ({ go: false, why });
  const { where, images } = group;
  const used = usedBy(group, uses);
  const need = needOf(used);
  if (need !== null) return stays(need);
  if (where.kind === "baking") return stays("it is being baked");
  const isRecorded = used.length > 0 || images.some(({ id }) => where.recorded?.has(id) === true);
  if (isRecorded || (where.recorded === null && where.kind === "ended")) return retire(group, rank, rules);
  const maySomebodyUse = images.some(({ state, isNamed }) => state === "available" || isNamed);
  if (where.kind === "unknown" && maySomebodyUse)
    return stays("its build is not known here: if it is nobody else's, remove it by hand");
  if (!where.buildEnded) return stays("its build has not ended, and may take it over");
  const [youngest] = images.toSorted((a, b) => (b.createdAtMs ?? 0) - (a.createdAtMs ?? 0));
  const spared = youngest === undefined ? null : whySpared(group, youngest, rules);
  return spared === null ? { go: true, why: "a bake left it that recorded none" } : stays(spared);
}

function retire(group: Known, rank: number, { keep, nowMs, seenAtMs }: Rules): NonNullable<Ruling["images"]> {
  const stays = (why: string) => ({ go: false, why });
  if (keep.newest === null && keep.ms === null)
    return stays("all are kept: neither TOROID_AMI_KEEP nor TOROID_AMI_KEEP_DAYS is set");
  if (keep.newest !== null && rank < keep.newest) {
    const of = group.origin.repository;
    return stays(keep.newest === 1 ? `it is the newest of ${of}` : `it is among the newest ${keep.newest} of ${of}`);
  }
  const sinceMs = Math.max(...group.images.map((one) => one.createdAtMs ?? seenAtMs(one)));
  if (keep.ms !== null && nowMs - sinceMs < keep.ms)
    return stays(`it is kept until ${new Date(sinceMs + keep.ms).toISOString()}`);
  const age = keep.ms === null ? "" : " and old enough";
  const many = keep.newest === null ? "" : `not among the newest ${keep.newest}`;
  return {
    go: true,
    why: many === "" ? "it is old enough, and nothing needs it" : `${many}${age}, and nothing needs it`,
  };
}

function usedBy({ images }: Known, uses: Uses): readonly Use[] {
  return images.flatMap(({ id }) => uses.get(id) ?? []);
}

/** Why it has to stay whatever else is wished for; null: nobody needs it. */
function needOf(used: readonly Use[]): string | null {
  const places = (how: Use["how"]): readonly string[] => [
    ...new Set(used.filter((one) => one.how === how).map((one) => one.environment ?? "")),
  ];
  const live = places("live");
  if (live.length > 0) return `it is live in ${live.join(", ")}`;
  const back = places("back");
  if (back.length > 0) return `${back.join(", ")} can go back to it`;
  const waits = used.find(({ how }) => how === "waits");
  if (waits !== undefined)
    return `#${waits.number} is on its way into ${waits.environment ?? "an environment"} with it`;
  const busy = used.find(({ how }) => how === "busy");
  return busy === undefined ? null : `#${busy.number} has it and has not ended`;
}

/** Its place among those of its repository, by the newest build that had it; 0 for the newest. */
function ranksOf(groups: readonly Known[], uses: Uses): ReadonlyMap<Known, number> {
  const withImages = groups.filter(({ images }) => images.length > 0);
  const newest = (group: Known): number =>
    Math.max(group.origin.number || 0, ...usedBy(group, uses).map(({ number }) => number));
  const madeAtMs = ({ images }: Known): number => Math.max(...images.map(({ createdAtMs }) => createdAtMs ?? 0));
  const ranks = new Map<Known, number>();
  for (const together of Map.groupBy(withImages, ({ origin }) => origin.repository).values()) {
    const sorted = together.toSorted((a, b) => newest(b) - newest(a) || madeAtMs(b) - madeAtMs(a));
    for (const [rank, group] of sorted.entries()) ranks.set(group, rank);
  }
  return ranks;
}
