/** What belongs together: one bake makes an image, perhaps one in each of several regions, and much on the way. Pure. */
import { AMI_TAGS } from "../../protocol/ami.ts";
import type { Thing } from "./inventory.ts";

/** What its tags say of where something comes from. */
export interface Origin {
  readonly bake: string;
  readonly repository: string;
  /** NaN when it is none. */
  readonly number: number;
  /** Empty when only a name says where it comes from. */
  readonly commit: string;
  readonly stage: string;
  readonly key: string;
}

export interface Group {
  readonly origin: Origin;
  readonly images: readonly Thing[];
  /** Snapshots of none of the images that are there. */
  readonly snapshots: readonly Thing[];
  readonly others: readonly Thing[];
}

/** By bake, the newest build of a repository first. */
export function groupsOf(things: readonly Thing[]): readonly Group[] {
  const byBake = Map.groupBy(things, ({ tags }) => tags[AMI_TAGS.bake] ?? "");
  // A snapshot may have the tags of one bake and be in the image of another, that was registered from it.
  const used = new Set(things.flatMap(({ snapshots }) => snapshots));
  return [...byBake.values()]
    .map((together) => {
      const of = (kind: Thing["kind"]): readonly Thing[] => together.filter((one) => one.kind === kind);
      return {
        origin: originOf(together[0]?.tags ?? {}),
        images: of("image").toSorted((a, b) => a.region.localeCompare(b.region)),
        snapshots: of("snapshot").filter(({ id }) => !used.has(id)),
        others: together.filter(({ kind }) => kind !== "image" && kind !== "snapshot"),
      };
    })
    .sort(
      (a, b) =>
        a.origin.repository.localeCompare(b.origin.repository) || (b.origin.number || 0) - (a.origin.number || 0),
    );
}

function originOf(tags: Readonly<Record<string, string>>): Origin {
  return {
    bake: tags[AMI_TAGS.bake] ?? "",
    repository: tags[AMI_TAGS.repository] ?? "",
    number: Number(tags[AMI_TAGS.build] ?? Number.NaN),
    commit: tags[AMI_TAGS.commit] ?? "",
    stage: tags[AMI_TAGS.stage] ?? "",
    key: tags[AMI_TAGS.key] ?? "",
  };
}

/** Snapshots of images that lack the tags: whoever makes an image cannot always give them any. */
export function untagged(
  things: readonly Thing[],
): readonly { readonly image: Thing; readonly ids: readonly string[] }[] {
  const tagged = new Set(things.filter(({ kind }) => kind === "snapshot").map(({ id }) => id));
  return things.flatMap((image) => {
    const ids = image.snapshots.filter((id) => !tagged.has(id));
    return ids.length === 0 ? [] : [{ image, ids }];
  });
}
