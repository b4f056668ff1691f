import type { Delivery } from "../../../../protocol/delivery.ts";
import type { Notice } from "../../../../protocol/notice.ts";
import { commitOf, REPOSITORY } from "../samples.ts";

export function notice(changes: Partial<Notice> = {}): Notice {
  return {
    kind: "build",
    state: "failed",
    atMs: 0,
    repository: REPOSITORY,
    number: 42,
    stage: null,
    round: 1,
    environment: null,
    message: "build failed: exited with 1",
    by: "queue",
    ref: "refs/heads/main",
    commit: commitOf(42),
    title: "fix the door",
    author: "Ada <ada@example.com>",
    remote: "https://git.example/acme/api.git",
    change: true,
    rollback: false,
    mayFail: false,
    untilMs: null,
    ...changes,
  };
}

export function delivery(changes: Partial<Delivery> = {}): Delivery {
  return {
    id: "team.0123456789abcdef0123.0",
    atMs: 0,
    target: "team",
    channel: "webhook",
    mode: "message",
    order: [],
    about: "",
    status: "waiting",
    attempts: [],
    tried: 0,
    sinceMs: 0,
    nextAtMs: 0,
    remoteId: null,
    notice: notice(),
    ...changes,
  };
}
