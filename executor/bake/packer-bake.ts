/** One run of Packer that bakes an AMI, and the waiting for what it makes. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { crashPoint } from "../../kit/crash-points.ts";
import { sentenceOf } from "../../protocol/errors.ts";
import type { AmiPlan, StagePlan } from "../../protocol/pipeline/plan.ts";
import type { BakePlace, BakeryOptions, TakenTemplate } from "../bake.ts";
import { PackerReport } from "../images/packer/report.ts";
import { environmentOf, variablesIn } from "../images/packer/template.ts";
import { TOOLS_DIR } from "../images/packer/tools.ts";
import { FILES_DIR, filesIn, runInside } from "../images/packer/workspace.ts";
import { durationText, type Ruling, rulingOf } from "../workspace/outcome.ts";
import type { Verdict } from "../workspace/verdict.ts";
import type { BakeAccount, Door, FoundImage } from "./account.ts";
import type { Baking } from "./baking.ts";
import { errored, failed, packerFailed } from "./failure.ts";
import { compressed, packCheckout } from "./parcels.ts";
import { beginWaiting, looked, nextLookMs, type Patience } from "./patience.ts";
import { sourceSettings } from "./source.ts";
import { bakingOf } from "./template.ts";
import { CHECKOUT, DIFFERENCE, PARCELS_DIR, UNPACK, unpackingOf, unpackText } from "./unpack.ts";

export interface PackerBakeOptions extends Omit<BakeryOptions, "tools"> {
  readonly tools: string;
  readonly account: BakeAccount;
  readonly tags: Readonly<Record<string, string>>;
  readonly name: string;
  /** The directory of Packer's workspace. */
  readonly path: string;
  readonly ami: AmiPlan;
  readonly stage: StagePlan;
  readonly template: TakenTemplate | null;
}

const KEY_FILE = "/run/toroid-bake-key";
const KEY_VARIABLE = "TOROID_BAKE_KEY";
/** Whatever goes on: a day is enough for any disk. */
const WALL_MS = 24 * 3_600_000;
/** Packer ends its instance, and waits until it is gone, before it removes the rest. */
const GRACE_MS = 10 * 60_000;
/** Packer says this when it has asked for the image. */
const ASKED = /^\s*AMI: (ami-[0-9a-f]+)/;
const LAUNCHED = /Instance ID: i-/;

export class PackerBake {
  readonly #o: PackerBakeOptions;
  readonly #at: BakePlace;
  readonly #overdue = new AbortController();
  #patience: Patience = beginWaiting(performance.now());
  #lines = 0;
  #isAsked = false;

  constructor(o: PackerBakeOptions, at: BakePlace) {
    this.#o = o;
    this.#at = at;
  }

  /** Its id; or the stage's end, when there is none. */
  async run(): Promise<string | Ruling> {
    const { account, settings } = this.#o;
    const { subnet_id: subnet, vpc_id: vpc } = settings.attributes;
    const place = { vpc: typeof vpc === "string" ? vpc : null, subnet: typeof subnet === "string" ? subnet : null };
    const difference = this.#o.ami.provision === "difference";
    const making = [account.openDoor(settings.reachableFrom, place), this.#pack(difference)] as const;
    // Both are waited for, so that nothing is made any more when all is removed.
    await Promise.allSettled(making);
    const [door] = await Promise.all(making);
    crashPoint("executor-bake-door");
    const baking = this.#baking(door, difference);
    if (typeof baking === "string") return failed(baking);
    await this.#write(baking);
    const report = new PackerReport(this.#names, escaped(baking.shown));
    const over = new AbortController();
    const watching = this.#watch(over.signal);
    const verdict = await this.#packer(baking, door, report).finally(() => over.abort());
    await watching;
    return this.#endOf(verdict, report);
  }

  /** What the instance gets. */
  async #pack(difference: boolean): Promise<void> {
    const { path, exportRuns } = this.#o;
    const { workspace, abandoned } = this.#at;
    const parcels = join(path, "bake");
    await mkdir(parcels, { mode: 0o755 });
    await writeFile(join(parcels, UNPACK), unpackText(), { mode: 0o644 });
    await workspace.readable(workspace.source, () =>
      packCheckout(workspace.source, join(parcels, CHECKOUT), abandoned),
    );
    if (!difference) return;
    const refused = await exportRuns(workspace.path, (archive) =>
      compressed(archive, join(parcels, DIFFERENCE), abandoned),
    );
    if (refused !== null) throw new Error(`what the stage wrote cannot be taken: ${refused}`);
  }

  #baking(door: Door, difference: boolean): Baking | string {
    const { template, tags } = this.#o;
    const settings = sourceSettings(this.#o, door, KEY_FILE);
    const baking = bakingOf(template?.template ?? null, { ...settings, tags }, unpackingOf(difference));
    return typeof baking === "string" ? `${template?.path ?? "the template"}: ${baking}` : baking;
  }

  /** Of files as Packer knows them. */
  get #names(): Readonly<Record<string, string>> {
    const { template } = this.#o;
    const own = template === null ? {} : { [template.template.file]: template.path.split("/").at(-1) ?? "" };
    return { [`${FILES_DIR}/`]: "", ...own };
  }

  async #write(baking: Baking): Promise<void> {
    const into = join(filesIn(this.#o.path), this.#dir);
    await mkdir(into, { recursive: true });
    for (const [file, text] of Object.entries(baking.files)) await writeFile(join(into, file), text);
  }

  get #dir(): string {
    return dirname(this.#o.template?.path ?? "template");
  }

  async #packer(baking: Baking, door: Door, report: PackerReport): Promise<Verdict> {
    const { config, tools, sandbox, stage, template, path } = this.#o;
    const { accessKeyId, secretAccessKey, sessionToken } = config.credentials;
    const own = variablesIn(template?.template.text ?? "", stage.env);
    const { slot, cancelled, abandoned } = this.#at;
    const at = join(FILES_DIR, this.#dir, template?.template.form === "json" ? template.template.file : "");
    return runInside(slot, {
      workspace: path,
      tools,
      settings: sandbox,
      call: [
        "runAlone",
        {
          packer: `${TOOLS_DIR}/packer`,
          words: ["build", "-machine-readable", "-color=false", "-only", baking.only, at],
          secret: { variable: KEY_VARIABLE, file: KEY_FILE },
        },
      ],
      binds: [{ source: join(path, "bake"), target: PARCELS_DIR, readOnly: true }],
      variables: {
        ...environmentOf(own),
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        ...(sessionToken === null ? {} : { AWS_SESSION_TOKEN: sessionToken }),
        AWS_REGION: config.region,
        AWS_DEFAULT_REGION: config.region,
        AWS_EC2_METADATA_DISABLED: "true",
        [KEY_VARIABLE]: door.secret,
      },
      network: slot.network,
      places: [],
      limits: stage.limits,
      wallMs: WALL_MS,
      graceMs: GRACE_MS,
      cancelled: AbortSignal.any([cancelled, this.#overdue.signal]),
      abandoned,
      say: (line) => this.#heard(line, report),
    });
  }

  async #heard(line: string, report: PackerReport): Promise<void> {
    const text = report.take(line);
    this.#lines += 1;
    if (text === null) return;
    await this.#at.log.line(text);
    if (LAUNCHED.test(text)) crashPoint("executor-bake-launched");
    const [, asked] = ASKED.exec(text) ?? [];
    if (asked === undefined) return;
    this.#isAsked = true;
    // Packer of before 1.9 does so when it is there, and whoever sweeps goes by tags.
    await this.#o.account
      .tag({ id: asked, snapshots: [] })
      .catch((error: unknown) => this.#at.log.say(`${asked} has no tags yet: ${sentenceOf(error)}`));
    crashPoint("executor-bake-imaging");
  }

  /** Packer waits for as long as we do: it is asked to end when nothing goes on for too long. */
  async #watch(over: AbortSignal): Promise<void> {
    const ends = AbortSignal.any([over, this.#at.cancelled, this.#at.abandoned]);
    while (!ends.aborted) {
      const lookMs = nextLookMs(this.#patience, this.#o.config.patienceMs, performance.now());
      if (lookMs === null) return this.#overdue.abort();
      await sleep(lookMs, undefined, { signal: ends }).catch(() => undefined);
      if (ends.aborted) return;
      // What cannot be asked now is asked again: Packer is the one that works.
      const image = this.#isAsked ? await this.#o.account.image().catch(() => null) : null;
      await this.#look(image);
    }
  }

  /** Says what of the image has changed. */
  async #look(image: FoundImage | null): Promise<void> {
    const percent = image === null ? "" : await this.#o.account.progress(image);
    const state = image === null ? "" : `${image.id} is ${image.state}${percent === "" ? "" : `, ${percent}`}`;
    const before = this.#patience;
    this.#patience = looked(before, `${this.#lines} ${state}`, performance.now());
    if (state !== "" && !before.seen.endsWith(state)) await this.#at.log.say(state);
  }

  async #endOf(verdict: Verdict, report: PackerReport): Promise<string | Ruling> {
    const { cancelled, abandoned } = this.#at;
    abandoned.throwIfAborted();
    if (cancelled.aborted) return cancelledBy(cancelled);
    if (this.#overdue.signal.aborted) return this.#tooLong();
    const isWell = verdict.reason === "exit" && verdict.code === 0;
    if (isWell && report.artifacts === 0) return failed("no build of the template is for an AMI");
    const said = (report.failure ?? `exit code ${verdict.code ?? "unknown"}`).trim().replaceAll(/\s+/g, " ");
    const image = this.#isAsked || isWell ? await this.#o.account.image() : null;
    if (image === null) {
      if (verdict.reason === "exit")
        return isWell ? failed("Packer made an AMI that is not there") : packerFailed(said, verdict.code);
      return otherEnd(verdict);
    }
    if (!isWell && image.state !== "available")
      await this.#at.log.say(`Packer gave up (${said}); waiting for ${image.id}`);
    return this.#adopt(image);
  }

  async #adopt(found: FoundImage): Promise<string | Ruling> {
    const { account, config } = this.#o;
    const { cancelled, abandoned } = this.#at;
    const ends = AbortSignal.any([cancelled, abandoned]);
    for (let image: FoundImage | null = found; ; image = await account.image()) {
      if (image === null) return failed(`${found.id} is not there any more`);
      if (image.state === "available") {
        await account.tag(image);
        crashPoint("executor-bake-made");
        return image.id;
      }
      if (image.state !== "pending") return failed(`AWS made no AMI: ${image.id} is ${image.state}: ${image.why}`);
      await this.#look(image);
      const lookMs = nextLookMs(this.#patience, config.patienceMs, performance.now());
      if (lookMs === null) return this.#tooLong();
      await sleep(lookMs, undefined, { signal: ends }).catch(() => undefined);
      abandoned.throwIfAborted();
      if (cancelled.aborted) return cancelledBy(cancelled);
    }
  }

  #tooLong(): Ruling {
    const message = `nothing went on for ${durationText(this.#o.config.patienceMs)} (TOROID_BAKE_PATIENCE_SECONDS) while the AMI was baked`;
    return errored("TOR_BAKE_TIMEOUT", message, false);
  }
}

export function cancelledBy(cancelled: AbortSignal): Ruling {
  const message = sentenceOf(cancelled.reason);
  return { kind: "ended", outcome: "cancelled", message, exitCode: null, signal: null, phase: "bake" };
}

/** What ended otherwise than by Packer's own exit, as for any run. */
function otherEnd(verdict: Verdict): Ruling {
  const about = { phase: "bake", failed: null, timeoutMs: WALL_MS, silenceMs: null, cancelled: null };
  const ruling = rulingOf(verdict, about);
  return { ...ruling, message: `Packer: ${ruling.message}` };
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
