import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { useLoad } from "../live/load.ts";
import { fetchSettings, type SettingsShown } from "../live/system.ts";
import { useTitle } from "../live/title.ts";
import { Failure } from "../parts/failure.tsx";
import { Notifications } from "../parts/notifications.tsx";
import { Tokens } from "../parts/tokens.tsx";

/** How this Toroid is set up, who may talk to it by a token, and whom it notifies. */
export function SettingsPage(): JSX.Element {
  useTitle("Settings", "calm");
  const [settings, setSettings] = useState<SettingsShown | null>(null);
  const loading = useLoad(async () => setSettings(await fetchSettings()), []);
  return (
    <>
      <h1>Settings</h1>
      <Tokens />
      <Notifications />
      <section aria-labelledby="coordinator">
        <h2 id="coordinator">Coordinator</h2>
        {loading.state === "failed" && <Failure error={loading.error} />}
        {settings !== null && <Coordinator settings={settings} />}
      </section>
    </>
  );
}

function Coordinator({ settings: { version, protocol, queue, pool, keep, store, amis } }: Shown): JSX.Element {
  return (
    <dl class="facts-list">
      <Fact name="Version">
        {version}, protocol {protocol}
      </Fact>
      <Fact name="Pushes come from">
        {queue === null ? "webhooks and the API alone" : <code>{queue.url}</code>}
        {queue !== null && queue.deadLetterUrl !== null && (
          <>
            {" "}
            (what cannot be taken goes to <code>{queue.deadLetterUrl}</code>)
          </>
        )}
      </Fact>
      <Fact name="Pool of stages that name none">{pool}</Fact>
      <Fact name="Kept">
        builds {keep.buildsDays === null ? "for ever" : days(keep.buildsDays)}, output of stages {days(keep.logsDays)}
      </Fact>
      <Fact name="Store">
        {Math.round(store.bytes / 2 ** 20)} MiB, {store.replicas} {store.replicas === 1 ? "replica" : "replicas"}:{" "}
        {store.says}
      </Fact>
      <Fact name="AMIs">
        {amis.regions.length === 0 ? "no region is configured" : `as ${amis.system} in ${amis.regions.join(", ")}`}
      </Fact>
    </dl>
  );
}

interface Shown {
  readonly settings: SettingsShown;
}

function days(count: number): string {
  return count === 1 ? "for a day" : `for ${Math.round(count * 10) / 10} days`;
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
