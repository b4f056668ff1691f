/** A coordinator that asks an EC2-compatible server, through what can lose its calls; and builds that bake. */
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import type { AmiArtifact } from "../../../protocol/work.ts";
import { EC2_CREDENTIALS, type Ec2Server } from "../../support/ec2.ts";
import { Ec2Proxy } from "../../support/ec2-proxy.ts";
import { until } from "../../support/until.ts";
import { PLAIN_AMI, REPOSITORY, stagePlan, target } from "../../unit/coordinator/samples.ts";
import { type Api, startApi, startBuild } from "./api-rig.ts";
import { runStage } from "./rig.ts";

export const KEY = `sha256:${"cd".repeat(32)}`;

/** As the SDK finds them; this file's process is the coordinator's. */
export function haveCredentials(): void {
  process.env["AWS_ACCESS_KEY_ID"] = EC2_CREDENTIALS.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = EC2_CREDENTIALS.secretAccessKey;
}

export async function startAmiApi(server: Ec2Server, variables: Record<string, string> = {}) {
  await using undo = new AsyncDisposableStack();
  const proxy = undo.use(await Ec2Proxy.start(server.endpoint));
  const api = undo.use(await startApi({ TOROID_EC2_ENDPOINT: proxy.endpoint, ...variables }));
  const kept = undo.move();
  return { ...api, proxy, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

export function amiArtifact(amis: Readonly<Record<string, string>>): AmiArtifact {
  return { kind: "ami", key: KEY, amis: { ...amis }, files: null };
}

/** A build of `prod` that baked this AMI. */
export async function bakedBuild(
  api: Api,
  number: number,
  amis: Readonly<Record<string, string>>,
  environments: readonly StagePlan[] = [target("prod", ["build"])],
): Promise<void> {
  const of = { commit: number, on: Array.from({ length: number - 1 }, (_, at) => number - 1 - at) };
  await startBuild(api, environments, number, of, stagePlan("build", { ami: PLAIN_AMI }));
  await runStage(
    api.jet,
    api.actors,
    { repository: REPOSITORY, number, stage: "build", round: 1 },
    { artifact: amiArtifact(amis) },
  );
}

export async function isLive(api: Api, number: number): Promise<void> {
  await until(`#${number} to be live`, async () => {
    const lane = await api.actors.environment.load({ repository: REPOSITORY, environment: "prod" });
    return lane.state.live?.number === number;
  });
}
