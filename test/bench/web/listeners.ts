/** Many listeners to changes, in a process of their own: what each heard, and how long after it was said. */
import { connect } from "node:net";
import { percentile, tenths } from "../statistics.ts";

const [url = "", clientsText = "0", expectedText = "0"] = process.argv.slice(2);
const { hostname, port, host } = new URL(url);
const clients = Number(clientsText);
const expected = Number(expectedText);
const MARK = '"message":"said ';
const LONGEST_MARK = 64;

const lateMs: number[] = [];
const heard = Array.from({ length: clients }, () => new Uint8Array(expected));
let ready = 0;
let received = 0;

for (const mine of heard) {
  const socket = connect({ host: hostname, port: Number(port) });
  socket.write(`GET /api/v1/events HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  socket.setEncoding("latin1");
  let tail = "";
  let isReady = false;
  socket.on("data", (chunk: string) => {
    const nowMs = performance.timeOrigin + performance.now();
    const text = tail + chunk;
    if (!isReady && text.includes("id: ")) {
      isReady = true;
      ready += 1;
      if (ready === clients) process.send?.({ kind: "ready" });
    }
    let from = 0;
    for (let at = text.indexOf(MARK); at >= 0; at = text.indexOf(MARK, from)) {
      const end = text.indexOf('"', at + MARK.length);
      if (end < 0) break;
      const [number = "", saidMs = ""] = text.slice(at + MARK.length, end).split(" ");
      from = end;
      if (mine[Number(number)] === 1) continue;
      mine[Number(number)] = 1;
      received += 1;
      lateMs.push(nowMs - Number(saidMs));
    }
    tail = text.slice(Math.max(from, text.length - LONGEST_MARK));
    if (received === clients * expected) report();
  });
}

function report(): void {
  const figures = { p50: tenths(percentile(lateMs, 0.5)), p99: tenths(percentile(lateMs, 0.99)) };
  process.send?.({ kind: "heard", received, lost: clients * expected - received, ...figures }, () => process.exit(0));
}

process.on("message", () => report());
