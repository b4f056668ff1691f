import assert from "node:assert/strict";
import { test } from "node:test";
import { ownPath } from "../../../web/live/own-path.ts";

test("after signing in one goes on to a page of ours", () => {
  for (const to of ["/", "/builds/acme/api/1?stage=build#L2", "/settings"]) assert.equal(ownPath(to), to);
});

test("nobody is led elsewhere, by whatever a browser takes for another host", () => {
  const elsewhere = [
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
  ];
  for (const to of [
    ...elsewhere,
    "/.//evil.example",
    "/x/..//evil.example",
    "javascript:alert(1)",
    "evil.example",
    "",
  ]) {
    const led = new URL(ownPath(to), "https://ci.example.com");
    assert.deepEqual([led.origin, led.pathname], ["https://ci.example.com", "/"], JSON.stringify(to));
  }
});
