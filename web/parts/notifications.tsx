import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { DeliverySummary, TargetSummary } from "../../protocol/delivery.ts";
import { useNow } from "../live/clock.ts";
import { useLoad } from "../live/load.ts";
import { useWhyNot } from "../live/me.ts";
import { usePages } from "../live/pages.ts";
import { fetchDeliveries, fetchTargets, retryDelivery, testTarget } from "../live/system.ts";
import { Act } from "./act.tsx";
import { Failure } from "./failure.tsx";
import { Older } from "./older.tsx";
import { ReasonDialog } from "./reason-dialog.tsx";
import { lookOfWord, State } from "./state.tsx";
import { Ago, At } from "./time.tsx";

/** Deliveries are not in the stream of events. */
const LOOK_MS = 3_000;

/** Whom this Toroid tells of what happens, and what became of what it told. */
export function Notifications(): JSX.Element {
  const [targets, setTargets] = useState<readonly TargetSummary[]>([]);
  const [changes, setChanges] = useState(0);
  const loading = useLoad(async () => setTargets((await fetchTargets()).targets), [changes]);
  const pages = usePages(
    async (before) => {
      const { deliveries, next } = await fetchDeliveries(before);
      return { items: deliveries, next };
    },
    (delivery) => delivery.id,
    [changes],
  );
  const isUnderWay = pages.items.some(({ status }) => status === "waiting" || status === "sending");
  const turn = Math.floor(useNow() / LOOK_MS);
  useEffect(() => {
    // One that fails shows by its not changing; the next look is soon.
    if (isUnderWay) pages.refresh().catch(() => undefined);
  }, [turn]);
  return (
    <>
      <section aria-labelledby="targets">
        <h2 id="targets">Notifications go to</h2>
        {loading.state === "failed" && <Failure error={loading.error} />}
        {loading.state === "there" && targets.length === 0 && (
          <p>
            Nobody: no target is configured. The manual says how, under <q>Notifications</q>.
          </p>
        )}
        <ul class="rows">
          {targets.map((target) => (
            <Target target={target} changed={() => setChanges((before) => before + 1)} key={target.name} />
          ))}
        </ul>
      </section>
      <section aria-labelledby="deliveries">
        <h2 id="deliveries">Deliveries</h2>
        <ul class="rows">
          {pages.items.map((delivery) => (
            <Delivery delivery={delivery} learn={pages.replace} key={delivery.id} />
          ))}
        </ul>
        <Older pages={pages} nothing="Nothing was sent yet." />
      </section>
    </>
  );
}

function Target({ target, changed }: { readonly target: TargetSummary; readonly changed: () => void }): JSX.Element {
  const { name, channel, where, on, says, waiting } = target;
  const whyNot = useWhyNot("operate", null);
  return (
    <li class="target">
      <div class="what">
        <p>
          <b>{name}</b> {channel} to <code>{where}</code>
        </p>
        <p class="from">
          {on}, for {target.for.length === 0 ? "whoever asks for it in the file" : target.for.join(", ")}
          {waiting > 0 && `, ${waiting} wait`}
        </p>
        {says !== "" && <p class="why">{says}</p>}
      </div>
      <div class="acts">
        <Act
          label={`Test ${name}`}
          whyNot={whyNot ?? (channel === "github" ? "GitHub is told of commits only" : null)}
          dialog={(close) => (
            <ReasonDialog
              title={`Send a test to ${name}?`}
              explains={`A notification that says it is a test goes to ${where}.`}
              action="Send"
              required={false}
              submit={async (reason) => {
                await testTarget(target, reason);
                changed();
              }}
              close={close}
            />
          )}
        >
          Test…
        </Act>
      </div>
    </li>
  );
}

interface DeliveryProps {
  readonly delivery: DeliverySummary;
  readonly learn: (delivery: DeliverySummary) => void;
}

function Delivery({ delivery, learn }: DeliveryProps): JSX.Element {
  const { target, about, status, attempts, tried, nextAtMs, atMs } = delivery;
  const whyNot = useWhyNot("operate", null);
  const last = attempts.at(-1);
  return (
    <li class="delivery">
      <State look={lookOfWord(status)} />
      <div class="what">
        <p>
          {about} <span class="soft">to {target}</span>
        </p>
        {last !== undefined && (
          <p class="from">
            tried {tried === 1 ? "once" : `${tried} times`}, last <Ago atMs={last.atMs} />
            {last.status !== null && `, answered ${last.status}`}
            {last.message !== "" && `: ${last.message}`}
            {nextAtMs !== null && status === "waiting" && (
              <>
                , again <At atMs={nextAtMs} />
              </>
            )}
          </p>
        )}
      </div>
      <p class="when">
        <Ago atMs={atMs} />
      </p>
      <div class="acts">
        {(status === "gaveUp" || status === "waiting") && (
          <Act
            label={`Retry delivery to ${target}: ${about}`}
            whyNot={whyNot}
            dialog={(close) => (
              <ReasonDialog
                title={`Send it to ${target} now?`}
                explains={`${about}: it is tried at once, and then as often as a new one.`}
                action="Send"
                required={false}
                submit={async (reason) => learn(await retryDelivery(delivery, reason))}
                close={close}
              />
            )}
          >
            Retry…
          </Act>
        )}
      </div>
    </li>
  );
}
