/** Asks for builds as fast as they are answered, in a process of its own; every answer is looked at. */
import { connect } from "node:net";
import { percentile } from "../statistics.ts";

const [url = "", connectionsText = "0", forMsText = "0", ...paths] = process.argv.slice(2);
const { hostname, port, host } = new URL(url);
const untilMs = performance.now() + Number(forMsText);
const tookMs: number[] = [];
let open = Number(connectionsText);
let next = 0;
const beganMs = performance.now();

for (let at = 0; at < Number(connectionsText); at += 1) {
  const socket = connect({ host: hostname, port: Number(port) });
  socket.setNoDelay(true);
  socket.setEncoding("latin1");
  let askedMs = 0;
  let number = "";
  let text = "";
  const ask = (): void => {
    const path = paths[next % paths.length] ?? "/";
    next += 1;
    number = `"number":${path.slice(path.lastIndexOf("/") + 1)},`;
    askedMs = performance.now();
    text = "";
    socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  };
  socket.on("data", (chunk: string) => {
    text += chunk;
    const head = text.indexOf("\r\n\r\n");
    const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, head))?.[1];
    if (head < 0 || length === undefined || text.length < head + 4 + Number(length)) return;
    if (!text.startsWith("HTTP/1.1 200") || !text.includes(number)) throw new Error(text.slice(0, 500));
    tookMs.push(performance.now() - askedMs);
    if (performance.now() < untilMs) ask();
    else {
      socket.destroy();
      open -= 1;
      if (open === 0) report();
    }
  });
  ask();
}

function report(): void {
  const seconds = (performance.now() - beganMs) / 1_000;
  const figures = {
    count: tookMs.length,
    perSecond: Math.round(tookMs.length / seconds),
    p99: percentile(tookMs, 0.99),
  };
  process.send?.({ kind: "read", ...figures }, () => process.exit(0));
}
