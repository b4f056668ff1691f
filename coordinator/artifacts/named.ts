/** An AMI that is half made may have no tags yet: older versions of Packer give them at the end. Its name says whose it is. */
import { AMI_TAGS, amiName, amiNamePrefix, bakeName } from "../../protocol/ami.ts";

/** `acme/api/42/build/1/977`: repository, build, stage, round and token. */
const REST = /^([^/]+\/[^/]+)\/(\d+)\/(.+)\/(\d+)\/(\d+)$/;

/** The tags that an image of this name is to have, as far as the name says; null: it is no name of ours. */
export function tagsFromName(system: string, name: string): Readonly<Record<string, string>> | null {
  const prefix = amiNamePrefix(system);
  const [, repository = "", build = "", stage = "", round = "", token = ""] =
    (name.startsWith(prefix) ? REST.exec(name.slice(prefix.length)) : null) ?? [];
  if (repository === "") return null;
  const origin = { repository, number: Number(build), stage, round: Number(round), token: Number(token) };
  // Whatever is not written exactly as we would is somebody else's.
  if (amiName({ system, ...origin }) !== name) return null;
  return {
    [AMI_TAGS.system]: system,
    [AMI_TAGS.repository]: repository,
    [AMI_TAGS.build]: build,
    [AMI_TAGS.stage]: origin.round === 1 ? stage : `${stage}/${round}`,
    [AMI_TAGS.bake]: bakeName(origin),
  };
}
