/**
 * One tab at a time does what each of them needs and tells the others. A browser gives a host six connections over
 * HTTP/1.1, and people have more tabs than that.
 */

type Stop = () => void;

export interface Team<T> {
  /** Tells the other tabs. */
  tell(message: T): void;
}

/**
 * Runs `lead` in one of this browser's tabs: in the next one as soon as that is closed. Every other tab hears in `hear`
 * what the leader tells, and in `greet` the leader hears of each tab that came.
 *
 * The browser knows locks on secure pages only (HTTPS, or loopback): elsewhere every tab leads itself while it is
 * visible.
 */
export function joinTeam<T>(
  name: string,
  o: { readonly lead: () => Stop; readonly hear: (message: T) => void; readonly greet: () => void },
): Team<T> {
  // Typed as always there; it is not.
  const locks = navigator.locks as LockManager | undefined;
  if (locks === undefined) {
    leadWhileVisible(o.lead);
    return { tell: () => undefined };
  }
  const channel = new BroadcastChannel(name);
  let leads = false;
  channel.addEventListener("message", ({ data }: MessageEvent<{ told: T } | "hello">) => {
    if (data === "hello") {
      if (leads) o.greet();
    } else if (!leads) o.hear(data.told);
  });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has but one
  channel.postMessage("hello");
  // Held until the tab is gone, whatever way it goes.
  void locks.request(name, () => {
    leads = true;
    o.lead();
    return new Promise<never>(() => undefined);
  });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has but one
  return { tell: (told) => channel.postMessage({ told }) };
}

function leadWhileVisible(lead: () => Stop): void {
  let stop: Stop | null = null;
  const follow = (): void => {
    if (document.hidden) {
      stop?.();
      stop = null;
    } else stop ??= lead();
  };
  document.addEventListener("visibilitychange", follow);
  follow();
}
