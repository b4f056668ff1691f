/**
 * Keeps the AMIs of this Toroid: gives snapshots their tags, removes what bakes left that were interrupted, and what is
 * neither needed nor to be kept any more. It remembers nothing that it cannot see again, so it may die at any point, and
 * two of them do no harm.
 */
import type { Logger } from "../../kit/log.ts";
import type { AmiSummary, ClearedThing, Clearing } from "../../protocol/ami-summary.ts";
import type { AmiConfig } from "../config.ts";
import type { Mailboxes } from "../mailboxes.ts";
import type { History } from "../projections/history.ts";
import type { Lanes } from "../projections/lanes.ts";
import type { Ec2Clients } from "./clients.ts";
import { groupsOf, untagged } from "./groups.ts";
import { inventory, type Thing } from "./inventory.ts";
import { type Known, type Rules, type Ruling, rule } from "./policy.ts";
import { type Removal, removeImage, removeLeftover, tagSnapshots } from "./remove.ts";
import { type Uses, usesOf } from "./uses.ts";
import { whereabouts } from "./whereabouts.ts";

export interface KeeperParts {
  readonly clients: Ec2Clients;
  readonly actors: Pick<Mailboxes, "build" | "stage" | "environment">;
  readonly history: Pick<History, "build" | "page" | "repositories">;
  readonly lanes: Pick<Lanes, "list">;
  readonly config: AmiConfig;
  readonly clock: () => number;
  readonly log: Logger;
}

export class Keeper {
  readonly #parts: KeeperParts;
  /** When what EC2 gives no time for was first seen here. */
  #seen: ReadonlyMap<string, number> = new Map();

  constructor(parts: KeeperParts) {
    this.#parts = parts;
  }

  get regions(): readonly string[] {
    return this.#parts.config.regions;
  }

  /**
   * AMIs, those of a repository by its newest build first.
   *
   * @throws {ToroidError} TOR_EC2_UNREACHABLE
   */
  async list(): Promise<readonly AmiSummary[]> {
    const { rulings, uses } = this.#rule(await this.#look(["image"]));
    return rulings.flatMap((ruling) => (ruling.images === null ? [] : [summaryOf(ruling, ruling.images, uses)]));
  }

  /**
   * Removes what is to go, and says why each other stays. With `dryRun` nothing is changed.
   *
   * @throws {ToroidError} TOR_EC2_UNREACHABLE when it cannot be seen what there is
   */
  async clear({ dryRun }: { readonly dryRun: boolean }): Promise<Clearing> {
    const report: Clearing = { dryRun, gone: [], stays: [], failed: [] };
    const seen = await this.#look();
    for (const ruling of this.#rule(seen).rulings) {
      const { group, images, leftovers, spared } = ruling;
      for (const { thing, why } of spared) report.stays.push(told(thing, why));
      for (const thing of leftovers) {
        const why = "a bake left it that has ended";
        const removal = dryRun ? null : await removeLeftover(this.#parts.clients, thing);
        noteIn(report, thing, why, removal);
      }
      if (images === null) continue;
      const now = images.go && !dryRun ? ((await this.#again(seen.groups, group)).images ?? images) : images;
      for (const image of group.images) {
        if (!now.go) report.stays.push(told(image, now.why));
        else noteIn(report, image, now.why, dryRun ? null : await removeImage(this.#parts.clients, image));
      }
    }
    if (!dryRun) await this.#tag(seen.things, report);
    return report;
  }

  /** An environment may have got it meanwhile, and nothing brings it back: looked at right before. */
  async #again(groups: readonly Known[], group: Known): Promise<Ruling> {
    const where = await whereabouts(this.#parts, group.origin);
    const fresh = { ...group, where };
    const all = groups.map((one) => (one === group ? fresh : one));
    const uses = await usesOf(this.#parts, new Set([group.origin.repository]));
    const [ruling] = rule(all, uses, this.#rules()).filter((one) => one.group === fresh);
    return ruling ?? { group: fresh, images: null, leftovers: [], spared: [] };
  }

  async #look(kinds?: Parameters<typeof inventory>[2]) {
    const { clients, config, clock } = this.#parts;
    const things = await inventory(clients, config, kinds);
    if (kinds === undefined) {
      const before = this.#seen;
      this.#seen = new Map(things.map((thing) => [nameOf(thing), before.get(nameOf(thing)) ?? clock()]));
    }
    const found = groupsOf(things);
    const uses = await usesOf(this.#parts, new Set(found.map(({ origin }) => origin.repository)));
    const groups: Known[] = [];
    for (const group of found) groups.push({ ...group, where: await whereabouts(this.#parts, group.origin) });
    return { things, groups, uses };
  }

  #rule({ groups, uses }: { readonly groups: readonly Known[]; readonly uses: Uses }) {
    return { uses, rulings: rule(groups, uses, this.#rules()) };
  }

  #rules(): Rules {
    const { config, clock } = this.#parts;
    const nowMs = clock();
    const seenAtMs = (thing: Thing): number => this.#seen.get(nameOf(thing)) ?? nowMs;
    return { sweepAfterMs: config.sweepAfterMs, keep: config.keep, nowMs, seenAtMs };
  }

  /** Of images that stay: whoever made them could not always tag their snapshots. */
  async #tag(things: readonly Thing[], report: Clearing): Promise<void> {
    const { clients, log } = this.#parts;
    const gone = new Set(report.gone.map(({ id }) => id));
    for (const { image, ids } of untagged(things)) {
      if (gone.has(image.id)) continue;
      const why = await tagSnapshots(await clients.in(image.region), image, ids);
      if (why !== null) log.warn({ image: image.id, region: image.region, why }, "snapshots could not be tagged");
    }
  }
}

function nameOf({ region, kind, id }: Thing): string {
  return `${region} ${kind} ${id}`;
}

function told(thing: Thing, why: string): ClearedThing {
  const { kind, region, id, tags } = thing;
  return { kind, region, id, bake: tags["toroid:bake"] ?? "", why };
}

function noteIn(report: Clearing, thing: Thing, why: string, removal: Removal): void {
  if (removal === null) report.gone.push(told(thing, why));
  else report.failed.push(told(thing, removal));
}

function summaryOf({ group }: Ruling, ruled: NonNullable<Ruling["images"]>, uses: Uses): AmiSummary {
  const { origin, images, where } = group;
  const used = images.flatMap(({ id }) => uses.get(id) ?? []);
  const places = (how: string): string[] => [
    ...new Set(used.flatMap((one) => (one.how === how && one.environment !== null ? [one.environment] : []))),
  ];
  const made = images.flatMap(({ createdAtMs }) => createdAtMs ?? []);
  const number = Number.isSafeInteger(origin.number) ? origin.number : null;
  return {
    key: origin.key,
    bake: origin.bake,
    repository: origin.repository,
    number,
    stage: origin.stage,
    commit: origin.commit,
    by: where.summary?.by ?? null,
    author: where.summary?.author ?? null,
    ref: where.summary?.ref ?? null,
    createdAtMs: made.length === 0 ? null : Math.min(...made),
    images: images.map(({ region, id, state, snapshots }) => ({ region, id, state, snapshots: [...snapshots] })),
    live: places("live"),
    back: places("back"),
    builds: [...new Set(used.map((one) => one.number))].sort((a, b) => a - b),
    goes: ruled.go,
    why: ruled.why,
  };
}
