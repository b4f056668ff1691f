import { type BuildId, logUrl } from "./api.ts";
import type { LogBuffer } from "./log-buffer.ts";
import type { StageRef } from "./stage-ref.ts";

export type LogState = "open" | "lost" | "ended";

/**
 * Fills `buffer` with a log while the tab is visible, from where it was after every break, until the stage ended.
 * Answers how to stop.
 */
export function followLog(
  id: BuildId,
  stage: StageRef & { readonly attempt: number },
  buffer: LogBuffer,
  changed: (state: LogState) => void,
): () => void {
  let source: EventSource | null = null;
  let ended = false;
  const close = (): void => {
    source?.close();
    source = null;
  };
  const open = (): void => {
    source = new EventSource(`${logUrl(id, stage, true)}&attempt=${stage.attempt}&offset=${buffer.end}`);
    source.addEventListener("open", () => changed("open"));
    source.addEventListener("error", () => {
      close(); // opened again by us, with the offset that we really have
      changed("lost");
    });
    source.addEventListener("bytes", (event) => {
      const { offset, text, atMs } = JSON.parse(event.data) as { offset: number; text: string; atMs?: number };
      buffer.addBytes(offset, Uint8Array.fromBase64(text), atMs);
      changed("open");
    });
    source.addEventListener("removed", (event) => {
      const { offset, bytes, sinceMs } = JSON.parse(event.data) as {
        offset: number;
        bytes: number;
        sinceMs: number | null;
      };
      buffer.addRemoved(offset, bytes, sinceMs);
      changed("open");
    });
    source.addEventListener("phase", (event) => {
      const { offset, phase, atMs } = JSON.parse(event.data) as { offset: number; phase: string; atMs: number };
      buffer.addPhase(offset, phase, atMs);
      changed("open");
    });
    source.addEventListener("end", (event) => {
      const { droppedBytes, atMs } = JSON.parse(event.data) as { droppedBytes: number; atMs?: number | null };
      buffer.addEnd(droppedBytes, atMs);
      ended = true;
      close();
      changed("ended");
    });
  };
  const follow = (): void => {
    if (document.hidden) close();
    else if (source === null && !ended) open();
  };
  document.addEventListener("visibilitychange", follow);
  const again = setInterval(follow, 2_000);
  follow();
  return () => {
    document.removeEventListener("visibilitychange", follow);
    clearInterval(again);
    close();
  };
}
