/** A client for EC2, or for a server that speaks like it, from explicit settings. */
import type { EC2 } from "@aws-sdk/client-ec2";

export interface Ec2Settings {
  readonly region: string;
  /** null: AWS's own, by region. */
  readonly endpoint: string | null;
  /** `chain`: where the SDK finds some (environment, profile, role). Else these and no others: nobody's metadata is asked. */
  readonly credentials: Ec2Credentials | "chain";
}

export interface Ec2Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of credentials that end by themselves; null for lasting ones. */
  readonly sessionToken: string | null;
}

const CONNECT_MS = 5_000;
const ANSWER_MS = 30_000;
const ATTEMPTS = 3;

/**
 * One client a region; `destroy` it. Its library is loaded with the first one, for that takes a third of a second and a
 * hundred megabytes that nobody who bakes nothing should spend.
 */
export async function openEc2({ region, endpoint, credentials }: Ec2Settings): Promise<EC2> {
  const { EC2: Client } = await import("@aws-sdk/client-ec2");
  return new Client({
    region,
    ...(endpoint === null ? {} : { endpoint }),
    ...(credentials === "chain" ? {} : { credentials: staticOf(credentials) }),
    maxAttempts: ATTEMPTS,
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: ANSWER_MS, throwOnRequestTimeout: true },
  });
}

function staticOf({ sessionToken, ...keys }: Ec2Credentials) {
  return sessionToken === null ? keys : { ...keys, sessionToken };
}
