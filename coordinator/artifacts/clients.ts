/** One client for EC2 in each region, made when it is first asked for. Credentials come by the SDK's usual chain. */
import type { EC2 } from "@aws-sdk/client-ec2";
import { openEc2 } from "../../kit/ec2.ts";

export class Ec2Clients implements Disposable {
  readonly #endpoint: string | null;
  readonly #clients = new Map<string, Promise<EC2>>();

  /** @param endpoint of a server that speaks like EC2; null: AWS's own, by region */
  constructor(endpoint: string | null) {
    this.#endpoint = endpoint;
  }

  in(region: string): Promise<EC2> {
    const known = this.#clients.get(region);
    if (known !== undefined) return known;
    const client = openEc2({ region, endpoint: this.#endpoint, credentials: "chain" });
    this.#clients.set(region, client);
    return client;
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) {
      client.then(
        (one) => one.destroy(),
        () => undefined,
      );
    }
    this.#clients.clear();
  }
}
