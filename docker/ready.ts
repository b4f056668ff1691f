/** Whether the coordinator of this container is ready: for its health check, where there is neither curl nor wget. */
const port = process.env["TOROID_HTTP_PORT"] ?? "7433";
const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(8_000) }).catch(() => null);
process.exitCode = answer?.ok === true ? 0 : 1;
