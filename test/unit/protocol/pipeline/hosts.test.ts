import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hostText, readHost } from "../../../../protocol/pipeline/hosts.ts";

const read = (text: string): string => {
  const host = readHost(text);
  return "problem" in host ? host.problem : hostText(host);
};

test("a host has one spelling, however it is written", () => {
  const SPELLINGS: Readonly<Record<string, string>> = {
    "example.com": "example.com",
    " Example.COM. ": "example.com",
    "example.com:443": "example.com:443",
    "example.com:0443": "example.com:443",
    db: "db",
    "_dmarc.a-b.example": "_dmarc.a-b.example",
    "4chan.example": "4chan.example",
    "203.0.113.5": "203.0.113.5",
    "203.0.113.5/32:80": "203.0.113.5:80",
    "203.0.113.0/24": "203.0.113.0/24",
    "10.0.0.0/8:5432": "10.0.0.0/8:5432",
    "0.0.0.0/0:443": "0.0.0.0/0:443",
    "169.254.169.254": "169.254.169.254",
  };
  for (const [written, meant] of Object.entries(SPELLINGS)) assert.equal(read(written), meant, written);
});

test("what programs would take for another address is no address", () => {
  for (const text of [
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "1.2.3",
    "a.1",
    "1.2.3.4.5",
    "010.0.0.1",
    "0x7f.1",
  ])
    assert.match(read(text), /^expected an IPv4 address as/, text);
});

test("what cannot be a host is a problem that says why", () => {
  const PROBLEMS: Readonly<Record<string, RegExp>> = {
    "": /cannot be empty/,
    "*": /by a pattern/,
    "ftp://example.com": /found a URL/,
    "example.com/": /found a path/,
    "[::1]:80": /found IPv6/,
    "::ffff:10.0.0.1": /found IPv6/,
    "example.com:": /expected a port/,
    "example.com:0": /expected a port/,
    "example.com:65536": /expected a port/,
    "example.com:+1": /expected a port/,
    "1.2.3.0/33": /a number from 0 to 32/,
    "1.2.3.0/24/1": /a number from 0 to 32/,
    "1.2.3.4/24": /nothing set behind the prefix/,
    "127.0.0.0/8": /its own loopback/,
    "db.localhost": /its own loopback/,
    "0.0.0.0": /found one that no host has/,
    "255.255.255.255": /found one that no host has/,
    "-a.example": /expected the name of a host/,
    "a..example": /expected the name of a host/,
    "a example": /expected the name of a host/,
    "exämple.com": /expected the name of a host/,
    "a=b": /expected the name of a host/,
    "a,b.example": /expected the name of a host/,
    "a\nb": /expected the name of a host/,
    [`${"a".repeat(64)}.example`]: /expected the name of a host/,
    [`${"a.".repeat(127)}example`]: /expected the name of a host/,
  };
  for (const [text, problem] of Object.entries(PROBLEMS)) assert.match(read(text), problem, JSON.stringify(text));
});

test("whatever is read goes to the helper as one word that says the same again, and to /etc/hosts as one name", () => {
  const place = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.tuple(fc.ipV4(), fc.nat(40)).map(([a, n]) => `${a}/${n}`),
    fc.string(),
  );
  const text = fc.oneof(
    place,
    fc.tuple(place, fc.nat(70_000)).map(([host, port]) => `${host}:${port}`),
  );
  fc.assert(
    fc.property(text, (written) => {
      const host = readHost(written);
      if ("problem" in host) return;
      assert.match(hostText(host), /^[a-z0-9._-]+(\/\d{1,2})?(:\d{1,5})?$/);
      assert.deepEqual(readHost(hostText(host)), host);
      assert.equal((host.name === null) !== (host.network === null), true);
    }),
    { numRuns: 2_000 },
  );
});
