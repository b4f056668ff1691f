import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "nats";
import { programPath } from "./programs.ts";
import { until } from "./until.ts";

/** The real `nats sub`, once it listens. */
export async function natsSub(url: string, subject: string): Promise<AsyncDisposable & { lines(): readonly string[] }> {
  const child = spawn(programPath("nats") ?? "nats", ["--server", url, "sub", "--raw", subject], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    printed += chunk;
  });
  const connection = await connect({ servers: url });
  await until("nats sub to listen", () => {
    connection.publish(subject.replaceAll("*", "-"), "listening");
    return printed.includes("listening");
  });
  await connection.close();
  return {
    lines: () => printed.split("\n"),
    async [Symbol.asyncDispose]() {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}
