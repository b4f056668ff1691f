import { type Logger, pino, stdSerializers, stdTimeFunctions } from "pino";

export type { Logger };

/**
 * The one way to log: JSON lines on standard error, so that standard output stays free for data.
 * Level by TOROID_LOG_LEVEL (default `info`). Build output never goes through here.
 */
export function makeLogger(service: string, level: string = process.env["TOROID_LOG_LEVEL"] ?? "info"): Logger {
  return pino(
    {
      level,
      base: { service, pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      serializers: { err: stdSerializers.errWithCause },
    },
    // Synchronous, because the line before a crash is the one that matters.
    { write: (line: string) => void process.stderr.write(line) },
  );
}
