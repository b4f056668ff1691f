/** `GET /api/v1/events`: going on where one was, at any coordinator, and clients that do not read. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { after, before, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { EventHub } from "../../../coordinator/http/events/hub.ts";
import { openSse } from "../../../coordinator/http/sse.ts";
import { openBucket } from "../../../kit/topology.ts";
import { encode } from "../../../protocol/codec.ts";
import { EXECUTORS } from "../../../protocol/streams.ts";
import { until } from "../../support/until.ts";
import { REPOSITORY } from "../../unit/coordinator/samples.ts";
import { type Api, BUILDS, startApi, startBuild } from "./api-rig.ts";
import { quiet, type RunningCoordinator, startCoordinator } from "./rig.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const LIMIT = { timeout: 60_000 };
const EVENTS = "/api/v1/events";
const DEAF = 8;
const REMOTE = "https://git.example/acme/api.git";

let api: Api;
let other: RunningCoordinator;

before(async () => {
  api = await startApi();
  other = await startCoordinator(api.server.url);
});

after(async () => {
  await other?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
});

/** A client that reads; gone at the end of the block. */
class Listener implements AsyncDisposable {
  readonly events: EventSourceMessage[] = [];
  lastId: string | null = null;
  readonly #stop = new AbortController();
  readonly #ended: Promise<unknown>;

  private constructor(response: Response, stop: AbortController) {
    this.#stop = stop;
    const parser = createParser({ onEvent: (event) => void this.events.push(event), onId: (id) => (this.lastId = id) });
    const read = async (): Promise<void> => {
      const decoder = new TextDecoder();
      for await (const chunk of response.body ?? []) parser.feed(decoder.decode(chunk, { stream: true }));
    };
    this.#ended = read().catch(() => undefined);
  }

  static async at(url: string, lastId: string | null = null): Promise<Listener> {
    const stop = new AbortController();
    const headers: Record<string, string> = lastId === null ? {} : { "last-event-id": lastId };
    const listener = new Listener(await fetch(url + EVENTS, { headers, signal: stop.signal }), stop);
    await until("a place to go on from", () => listener.lastId !== null);
    return listener;
  }

  named(event: string): readonly Record<string, unknown>[] {
    return this.events
      .filter((one) => one.event === event)
      .map(({ data }) => JSON.parse(data) as Record<string, unknown>);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}

async function trigger(key: string, repository = "acme/events"): Promise<void> {
  assert.equal((await api.post(BUILDS, { repository, ref: "main", remote: REMOTE, key })).status, 202);
}

function numbersOf(listener: Listener): readonly unknown[] {
  return [...new Set(listener.named("build").map(({ number }) => number))];
}

test("who comes back hears of what was missed, at another coordinator too, and of nothing before", LIMIT, async () => {
  const first = await Listener.at(api.url);
  await trigger("one");
  await until("the first build", () => numbersOf(first).includes(1));
  // All that follows from it: later changes of it would be missed ones.
  await until("it to be at rest", async () => {
    const { lastId } = first;
    await new Promise((resolve) => setTimeout(resolve, 400));
    return lastId === first.lastId;
  });
  const { lastId } = first;
  await first[Symbol.asyncDispose]();
  await trigger("two");
  await trigger("three");
  await until("them to be stored", async () => {
    const body = (await (await fetch(`${other.url}${BUILDS}?repository=acme/events`)).json()) as { builds: unknown[] };
    return body.builds.length === 3;
  });
  for (const url of [api.url, other.url]) {
    await using again = await Listener.at(url, lastId);
    await until("what was missed", () => numbersOf(again).length === 2);
    assert.deepEqual([numbersOf(again).toSorted((a, b) => Number(a) - Number(b)), again.named("resync")], [[2, 3], []]);
    assert.equal(again.named("executors").length, 1, "who is there is told anew");
  }
});

test("a pause and its end that were missed are told of as the environment is", LIMIT, async () => {
  await startBuild(api);
  const prod = `/api/v1/environments/${REPOSITORY}/prod`;
  await api.post(`${prod}/pause`, { reason: "before" });
  const first = await Listener.at(other.url);
  await api.post(`${prod}/resume`, {});
  await api.post(`${prod}/pause`, { reason: "freeze" });
  await until("the pause", () => JSON.stringify(first.named("environment")).includes("freeze"));
  const { lastId } = first;
  await first[Symbol.asyncDispose]();
  await api.post(`${prod}/resume`, {});
  await using again = await Listener.at(api.url, lastId);
  await until("the environment", () => again.named("environment").length > 0);
  assert.equal(again.named("environment").at(-1)?.["paused"], null);
});

test("who was away for what nobody knows is told to read afresh, and hears what comes", LIMIT, async () => {
  await using known = await Listener.at(api.url);
  const [store, ...seqs] = (known.lastId ?? "").split("-");
  for (const id of ["nonsense", `other-${seqs.join("-")}`, `${store}-999999999-0-0`, ""]) {
    await using listener = await Listener.at(api.url, id);
    await until("resync", () => listener.named("resync").length === 1);
    await trigger(`after ${id}`);
    await until("what comes", () => listener.named("build").length > 0);
  }
});

test("executors that come, change and go are told of", LIMIT, async () => {
  const bucket = await openBucket(api.jet, EXECUTORS);
  await using listener = await Listener.at(api.url);
  const presence = {
    id: "e-1",
    host: "h",
    version: "1",
    pool: "p",
    slots: 2,
    busy: 0,
    draining: false,
    sinceMs: 1,
    tokens: [],
  };
  await bucket.put("e-1", encode(presence));
  await until("it to come", () => listener.named("executor").length === 1);
  for (let beat = 0; beat < 3; beat += 1) await bucket.put("e-1", encode(presence));
  await bucket.put("e-1", encode({ ...presence, busy: 1, runs: ["acme/api#1 build"] }));
  await until("it to be busy", () => listener.named("executor").at(-1)?.["busy"] === 1);
  await bucket.purge("e-1");
  await until("it to go", () => listener.named("executor").at(-1)?.["gone"] === true);
  assert.equal(listener.named("executor").length, 3, "that it lives is no news");
});

test(
  "clients that never read cost a megabyte each at most, and are sent away; who reads gets everything",
  LIMIT,
  async () => {
    const stop = new AbortController();
    const hub = new EventHub(() => "x-0-0-0", quiet);
    const server = createServer((_request, response) => hub.join(openSse(response, stop.signal), null, null));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const deaf = Array.from({ length: DEAF }, () => connect({ port, host: "127.0.0.1" }));
    try {
      for (const socket of deaf) {
        // Nothing reads it, not even this process.
        socket.pause();
        socket.write("GET /api/v1/events HTTP/1.1\r\nhost: here\r\n\r\n");
      }
      await using reader = await Listener.at(`http://127.0.0.1:${port}`);
      await until("all to listen", () => hub.size === DEAF + 1);
      const atFirst = heldBytes();
      let peak = 0;
      for (let at = 0; hub.size > 1; at += 1) {
        assert.ok(at < 5_000, `${hub.size - 1} that do not read are still there`);
        const text = `${at} `.padEnd(40_000, "x");
        hub.tell({ event: "build", key: `${at}`, repository: "a/b", read: () => ({ number: at, text }) });
        await until("it to be heard", () => reader.events.length === at + 1, { everyMs: 1 });
        if (at % 10 === 0) peak = Math.max(peak, heldBytes() - atFirst);
      }
      assert.ok(peak < DEAF * 1024 * 1024, `${peak} bytes for ${DEAF} clients`);
      assert.deepEqual(
        reader.named("build").map(({ number }) => number),
        reader.events.map((_, at) => at),
      );
    } finally {
      for (const socket of deaf) socket.destroy();
      stop.abort();
      server.closeAllConnections();
      server.close();
    }
  },
);

/** Outside of the heap, without what is garbage: where what waits for sockets is. */
function heldBytes(): number {
  collectGarbage();
  const { external, arrayBuffers } = process.memoryUsage();
  return external + arrayBuffers;
}
