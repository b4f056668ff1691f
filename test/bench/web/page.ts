/**
 * What a person waits for at a build's page: its first paint with nothing cached, a log of 200,000 coloured lines
 * opened, the same followed while it grows, and how long a line takes from the script to the eye.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { startSystem } from "../../../bin/start/system.ts";
import { Browser } from "../../support/browser.ts";
import { programPath } from "../../support/programs.ts";
import { GitRepo } from "../../support/repo.ts";
import { tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";
import type { Figures } from "../report.ts";
import { percentile, tenths } from "../statistics.ts";

const DIST = join(import.meta.dirname, "..", "..", "..", "web", "dist");
const LINES = 200_000;
const TURNS = 3;
const FOLLOW_MS = 10_000;
/** Lines at once, and the rest after them, when it is followed: a little over 2,000 lines a second. */
const BLOCK = 100;
const REST_S = 0.04;
const STAMPS = 200;
const PATIENCE = { withinMs: 120_000, everyMs: 100 };

const E = "\\033";
const LINE = `${E}[3%dm[%06d]${E}[0m compiled ${E}[1mmodule_%d${E}[22m ${E}[38;5;%dmok${E}[0m in ${E}[38;2;%d;120;200m%dms${E}[0m`;
const PRINT = `awk -v n="$1" 'BEGIN { for (i = 1; i <= n; i++) printf "${LINE} and so on\\n", i % 8, i, i * 7, i % 256, i % 256, i % 90 }'
`;

/** What each is of, and the script of its one stage. */
const BUILDS: Readonly<Record<string, string>> = {
  long: `sh print ${LINES}`,
  growing: `sh print ${BLOCK} > block; sh print ${LINES}; while true; do cat block; sleep ${REST_S}; done`,
  stamped: `sleep 5; for i in $(seq ${STAMPS}); do date +at.%s.%N; sleep 0.05; done`,
};

export interface PageBench {
  readonly figures: Figures;
  readonly setup: Readonly<Record<string, unknown>>;
  readonly missing: readonly string[];
}

export async function benchPage(): Promise<PageBench> {
  const setup = { lines: LINES, turns: TURNS };
  const files = await readdir(DIST, { recursive: true, withFileTypes: true }).catch(() => []);
  if (files.length === 0) return { figures: {}, setup, missing: ["web/dist"] };
  const sizes = files
    .filter((one) => one.isFile())
    .map(async (one) => gzipSync(await readFile(join(one.parentPath, one.name)), { level: 9 }).length);
  const bundle = { bundleGzipKb: tenths((await Promise.all(sizes)).reduce((a, b) => a + b, 0) / 1_000) };
  if (programPath("chromium") === undefined) return { figures: bundle, setup, missing: ["chromium"] };

  await using dir = await tempDir("toroid-bench-");
  await using system = await startSystem({
    dir: join(dir.path, "state"),
    ports: { http: 0, nats: 0, queue: 0 },
    slots: 2,
    say: () => {},
    ending: new AbortController().signal,
  });
  const { url } = system;
  await using repos = new AsyncDisposableStack();
  const trigger = async (name: string): Promise<void> => {
    const content = { ".toroid.yml": `script: sh script\n`, script: `${BUILDS[name]}\n`, print: PRINT };
    const repo = repos.use(await GitRepo.create({ files: content }));
    await post(url, "/api/v1/builds", { repository: `bench/${name}`, ref: "main", remote: repo.url });
  };
  await trigger("long");
  await until("the long log to be written", async () => (await build(url, "long")).status === "finished", PATIENCE);
  const opened = await median(() => openLog(url));
  const painted = await median(() => firstPaint(url));
  await trigger("growing");
  const followed = await follow(url);
  await post(url, "/api/v1/builds/bench/growing/1/cancel", { reason: "it was looked at long enough" });
  await until("it to be cancelled", async () => (await build(url, "growing")).status === "finished", PATIENCE);
  await trigger("stamped");
  const stamped = await latency(url);
  return { figures: { ...bundle, ...painted, ...opened, ...followed, ...stamped }, setup, missing: [] };
}

/** A browser that has never been here. */
async function firstPaint(url: string): Promise<Figures> {
  await using browser = await Browser.start();
  await using tab = await browser.open("about:blank");
  const { page } = tab;
  await page.addInitScript(`(${seen.toString()})("build", ".build-head")`);
  await page.goto(pageOf(url, "long"));
  await until("the build to be seen", () => page.evaluate<boolean>("window.seen.build > 0"), PATIENCE);
  const [firstPaintMs, buildShownMs] = await page.evaluate<[number, number]>(
    `[performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0, window.seen.build]`,
  );
  return { firstPaintMs: tenths(firstPaintMs), buildShownMs: tenths(buildShownMs) };
}

/** From the beginning of the navigation until the last of its lines is there. */
async function openLog(url: string): Promise<Figures> {
  await using browser = await Browser.start();
  await using tab = await browser.open("about:blank");
  const { page } = tab;
  await page.addInitScript(`(${seen.toString()})("rows", ".log .row[class='row']")`);
  await page.addInitScript(`(${seen.toString()})("whole", ".link-ended")`);
  await page.goto(pageOf(url, "long"));
  await until("the log to be whole", () => page.evaluate<boolean>("window.seen.whole > 0"), PATIENCE);
  const { rows, whole } = await page.evaluate<{ rows: number; whole: number }>("window.seen");
  const text = (await page.locator(".log-lines").textContent()) ?? "";
  if (Number(text.replaceAll(/\D/g, "")) !== LINES) throw new Error(`the log is not whole: ${text}`);
  return { logRowsMs: tenths(rows), logOpenMs: tenths(whole), logOpenHeapMb: await heapMb(page) };
}

/** Frames while it grows, with its end in sight. */
async function follow(url: string): Promise<Figures> {
  await using browser = await Browser.start();
  await using tab = await browser.open("about:blank");
  const { page } = tab;
  await until("it to run", async () => (await build(url, "growing")).status === "running", PATIENCE);
  await page.goto(pageOf(url, "growing"));
  await until("the first lines to be there", async () => (await linesOf(page)) > LINES, PATIENCE);
  await sleep(1_000);
  const from = await linesOf(page);
  const frames = await page.evaluate<number[]>(`new Promise((done) => {
    const times = [];
    const step = (now) => {
      times.push(now);
      if (now - times[0] < ${FOLLOW_MS}) requestAnimationFrame(step);
      else done(times);
    };
    requestAnimationFrame(step);
  })`);
  const seconds = ((frames.at(-1) ?? 0) - (frames[0] ?? 0)) / 1_000;
  const gaps = frames.slice(1).map((now, i) => now - (frames[i] ?? now));
  const lines = (await linesOf(page)) - from;
  return {
    followLinesPerSecond: Math.round(lines / seconds),
    followFps: tenths(gaps.length / seconds),
    followFrameMsP95: tenths(percentile(gaps, 0.95)),
    followHeapMb: await heapMb(page),
  };
}

/** From the script, which prints its clock, to the page, which has the same one. */
async function latency(url: string): Promise<Figures> {
  await using browser = await Browser.start();
  await using tab = await browser.open("about:blank");
  const { page } = tab;
  await until("it to run", async () => (await build(url, "stamped")).status === "running", PATIENCE);
  await page.goto(pageOf(url, "stamped"));
  await page.locator(".log-state").waitFor();
  await page.evaluate(`(() => {
    window.stamps = new Map();
    new MutationObserver(() => {
      const now = performance.timeOrigin + performance.now();
      for (const row of document.querySelectorAll(".log .text")) {
        const [, seconds, nanos] = /^at\\.(\\d+)\\.(\\d+)$/.exec(row.textContent) ?? [];
        const key = seconds + nanos;
        if (seconds !== undefined && !window.stamps.has(key)) {
          window.stamps.set(key, now - Number(seconds) * 1000 - Number(nanos) / 1e6);
        }
      }
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  })()`);
  await page.locator(".link-ended").waitFor({ timeout: PATIENCE.withinMs });
  const ms = await page.evaluate<number[]>("[...window.stamps.values()]");
  return {
    scriptToPageMsP50: tenths(percentile(ms, 0.5)),
    scriptToPageMsP95: tenths(percentile(ms, 0.95)),
    scriptToPageLines: ms.length,
  };
}

/** Runs in the page: when something that `selector` finds has been painted, since the navigation began. */
function seen(name: string, selector: string): void {
  const page = globalThis as unknown as {
    document: { querySelector(selector: string): unknown };
    requestAnimationFrame(act: () => void): void;
    seen?: Record<string, number>;
  };
  const all = (page.seen ??= {});
  const look = (): void => {
    if (page.document.querySelector(selector) === null) page.requestAnimationFrame(look);
    else page.requestAnimationFrame(() => (all[name] = performance.now()));
  };
  look();
}

/** What the page holds after its garbage was collected, with what lies beside the script's own heap. */
async function heapMb(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize, embedderHeapUsedSize, backingStorageSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return tenths((usedSize + embedderHeapUsedSize + backingStorageSize) / 1_000_000);
}

async function linesOf(page: Page): Promise<number> {
  return Number(((await page.locator(".log-lines").textContent()) ?? "").replaceAll(/\D/g, ""));
}

/** Of each figure, over some turns. */
async function median(measure: () => Promise<Figures>): Promise<Figures> {
  const turns: Figures[] = [];
  for (let turn = 0; turn < TURNS; turn += 1) turns.push(await measure());
  const names = Object.keys(turns[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [
      name,
      percentile(
        turns.map((one) => one[name] ?? Number.NaN),
        0.5,
      ),
    ]),
  );
}

function pageOf(url: string, name: string): string {
  return new URL(`/builds/bench/${name}/1?stage=build&round=1`, url).href;
}

/** How it is, and its one stage. */
async function build(url: string, name: string): Promise<{ readonly status: string }> {
  const response = await fetch(new URL(`/api/v1/builds/bench/${name}/1`, url));
  if (!response.ok) throw new Error(`build of ${name}: ${response.status} ${await response.text()}`);
  const { status, outcome, stages } = (await response.json()) as {
    status: string;
    outcome: string | null;
    stages: readonly { readonly name: string; readonly status: string }[];
  };
  if (outcome !== null && outcome !== "passed" && outcome !== "cancelled") throw new Error(`${name} has ${outcome}`);
  if (status === "finished") return { status };
  return { status: stages.find((one) => one.name === "build")?.status ?? status };
}

async function post(url: string, path: string, body: unknown): Promise<void> {
  const response = await fetch(new URL(path, url), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
}
