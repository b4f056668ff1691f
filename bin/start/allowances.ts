/** A trial is to run on any machine: what this one cannot hold builds to is allowed to lack, and said. */
import { configFrom } from "../../executor/config.ts";
import { wouldNeedLeave } from "../../executor/doctor.ts";

/** Empty where nothing lacks, and where the operator has set TOROID_ALLOW_WEAK: then that counts alone. */
export async function weakMachine(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<readonly string[]> {
  const config = configFrom(environment);
  return config.allowWeak.length > 0 ? [] : wouldNeedLeave(config);
}
