import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { programPath } from "./programs.ts";
import { type TempDir, tempDir } from "./temp.ts";

/** No sandbox, as tests run as root; and nothing that would make it talk to anybody but us. */
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Debian's Chromium without a window, with a profile of its own; gone at the end of the block that holds it. */
export class Browser implements AsyncDisposable {
  readonly #context: BrowserContext;
  readonly #dir: TempDir;

  private constructor(context: BrowserContext, dir: TempDir) {
    this.#context = context;
    this.#dir = dir;
  }

  static async start(): Promise<Browser> {
    const dir = await tempDir("toroid-browser-");
    try {
      const context = await chromium.launchPersistentContext(join(dir.path, "profile"), {
        executablePath: programPath("chromium") ?? "chromium",
        headless: true,
        args: ARGS,
        env: { ...process.env, TMPDIR: dir.path, HOME: dir.path },
      });
      return new Browser(context, dir);
    } catch (error) {
      await dir[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A new tab at `url`, in the size of a laptop unless told otherwise; `prepare` has it while it is empty. */
  async open(
    url: string,
    size = { width: 1280, height: 800 },
    prepare?: (page: Page) => Promise<unknown>,
  ): Promise<Tab> {
    const page = await this.#context.newPage();
    const tab = new Tab(page, new URL(url).origin);
    await page.setViewportSize(size);
    await prepare?.(page);
    await page.goto(url);
    return tab;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.close();
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** A page, and all that no page of ours may do. */
export class Tab implements AsyncDisposable {
  readonly page: Page;
  /** Errors on the console (breaches of the content security policy too), dialogs, requests to anybody else. */
  readonly complaints: string[] = [];

  constructor(page: Page, origin: string) {
    this.page = page;
    page.setDefaultTimeout(15_000);
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.complaints.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.complaints.push(`thrown: ${error.message}`));
    page.on("dialog", (dialog) => {
      this.complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== origin) this.complaints.push(`request: ${request.url()}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.close();
  }
}
