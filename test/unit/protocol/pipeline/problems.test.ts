import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { framed } from "./support.ts";

/** A claim, a file, and all that people are told about it. */
type Case = readonly [claim: string, text: string, told: string];

const YAML: readonly Case[] = [
  [
    "an empty file is a problem",
    ``,
    `
.toroid.yml:1:1: the file is empty
  1 |
    | ^
    = the smallest one is: \`script: make test\`
`,
  ],
  [
    "a file of comments alone is empty",
    `# nothing yet
`,
    `
.toroid.yml:1:1: the file is empty
  1 | # nothing yet
    | ^
    = the smallest one is: \`script: make test\`
`,
  ],
  [
    "a second document is refused",
    `script: make
---
script: make
`,
    `
.toroid.yml:2:1: expected one document, found a second one
  1 | script: make
  2 | ---
    | ^^^
    = remove the \`---\` and what follows it
`,
  ],
  [
    "a list at the top is no file",
    `- script: make
`,
    `
.toroid.yml:1:1: expected a mapping of keys such as \`script: make test\`, found a list
  1 | - script: make
    | ^
`,
  ],
  [
    "text at the top is no file",
    `make test
`,
    `
.toroid.yml:1:1: expected a mapping of keys such as \`script: make test\`, found \`make test\`
  1 | make test
    | ^
`,
  ],
  [
    "a tab cannot indent",
    `env:
	A: b
`,
    `
.toroid.yml:2:1: YAML cannot be indented with tabs
  1 | env:
  2 | 	A: b
    | ^
    = use spaces
`,
  ],
  [
    "a second colon on a line asks for quotes",
    `script: echo: hello
`,
    `
.toroid.yml:1:9: a second \`: \` on one line
  1 | script: echo: hello
    |         ^
    = put a value that contains \`: \` in quotes
`,
  ],
  [
    "a value cannot start with an at sign",
    `script: @make
`,
    `
.toroid.yml:1:9: plain value cannot start with reserved character @
  1 | script: @make
    |         ^
    = put the value in quotes
`,
  ],
  [
    "a quote has to be closed",
    `script: "make
`,
    `
.toroid.yml:2:1: a quote (") is not closed before this
  1 | script: "make
  2 |
    | ^
`,
  ],
  [
    "a bracket has to be closed",
    `script: [make
env: {}
`,
    `
.toroid.yml:2:1: expected a \`]\` before this
  1 | script: [make
  2 | env: {}
    | ^
`,
  ],
  [
    "a key that is there twice is refused",
    `script: make
image: default
script: make test
`,
    `
.toroid.yml:3:1: the key \`script\` is there twice
  2 | image: default
  3 | script: make test
    | ^^^^^^
    = keep one of the two: YAML would silently drop the other
`,
  ],
  [
    "a key of the prototype is refused",
    `env: { __proto__: a }
script: make
`,
    `
.toroid.yml:1:8: \`__proto__\` cannot be a key
  1 | env: { __proto__: a }
    |        ^^^^^^^^^
`,
  ],
  [
    "a key that is not text is refused",
    `? [a]
: b
script: make
`,
    `
.toroid.yml:1:3: a key must be plain text
  1 | ? [a]
    |   ^
`,
  ],
  [
    "an alias needs its anchor before it",
    `script: *lines
install: &lines make
`,
    `
.toroid.yml:1:9: no anchor \`&lines\` stands before this alias
  1 | script: *lines
    |         ^^^^^^
`,
  ],
  [
    "a merge takes mappings only",
    `env: { <<: a }
script: make
`,
    `
.toroid.yml:1:12: \`<<\` merges mappings only
  1 | env: { <<: a }
    |            ^
`,
  ],
  [
    "a merged mapping cannot merge another",
    `env: &env { <<: *env }
script: make
`,
    `
.toroid.yml:1:13: a merged mapping cannot merge another
  1 | env: &env { <<: *env }
    |             ^^
`,
  ],
  [
    "an anchor cannot hold itself",
    `env: &env { A: *env }
script: make
`,
    `
.toroid.yml:1:11: nested more than 32 levels deep
  1 | env: &env { A: *env }
    |           ^^^^^^^^^^^
`,
  ],
  [
    "a tag means nothing",
    `script: !shell make
`,
    `
.toroid.yml:1:9: tags such as \`!name\` mean nothing here
  1 | script: !shell make
    |         ^^^^^^
    = remove the tag, or quote a value that begins with \`!\`
`,
  ],
  [
    "YAML 1.1 is refused",
    `%YAML 1.1
---
script: make
`,
    `
.toroid.yml:1:1: the file asks for YAML 1.1, which reads \`yes\` and \`on\` as true
  1 | %YAML 1.1
    | ^
    = remove the \`%YAML\` line
`,
  ],
];

const KEYS: readonly Case[] = [
  [
    "an unknown key comes with the nearest one",
    `scipt: make test
`,
    `
.toroid.yml:1:1: \`scipt\` is not a key
  1 | scipt: make test
    | ^^^^^
    = did you mean \`script\`?
`,
  ],
  [
    "an unknown key that is near to nothing comes with all keys",
    `script: make
limits: { horses: 4 }
`,
    `
.toroid.yml:2:11: \`horses\` is not a key in \`limits\`
  1 | script: make
  2 | limits: { horses: 4 }
    |           ^^^^^^
    = the keys here are memory, cpu, pids, disk, log
`,
  ],
  [
    "an unknown key in an environment comes with the nearest one",
    `script: make
environments:
  prod: { run: ./deploy, timout: 30m }
`,
    `
.toroid.yml:3:26: \`timout\` is not a key in \`environments.prod\`
  2 | environments:
  3 |   prod: { run: ./deploy, timout: 30m }
    |                          ^^^^^^
    = did you mean \`timeout\`?
`,
  ],
  [
    "a key of Travis comes with what it is called here",
    `language: ruby
before_script: make db
script: make test
`,
    `
.toroid.yml:1:1: \`language\` is not a key
  1 | language: ruby
    | ^^^^^^^^
    = use \`image\`

.toroid.yml:2:1: \`before_script\` is not a key
  1 | language: ruby
  2 | before_script: make db
    | ^^^^^^^^^^^^^
    = put it in \`install\`, last
`,
  ],
  [
    "a file that runs nothing is a problem",
    `image: ruby-3.4
`,
    `
.toroid.yml:1:1: the file runs nothing
  1 | image: ruby-3.4
    | ^
    = add \`script\`, for example \`script: make test\`
`,
  ],
];

const VALUES: readonly Case[] = [
  [
    "a number is no command",
    `script: 7
`,
    `
.toroid.yml:1:9: expected a command or a list of commands, found the number 7
  1 | script: 7
    |         ^
    = put it in quotes: "7"
`,
  ],
  [
    "true is no command",
    `script:
  - make
  - true
`,
    `
.toroid.yml:3:5: expected a command, found \`true\`
  2 |   - make
  3 |   - true
    |     ^^^^
    = put it in quotes: "true"
`,
  ],
  [
    "a mapping where a command belongs is a colon without quotes",
    `script:
  - echo: hello
`,
    `
.toroid.yml:2:5: expected a command, found a mapping
  1 | script:
  2 |   - echo: hello
    |     ^^^^^^^^^^^
    = a command that contains \`: \` needs quotes around it
`,
  ],
  [
    "an empty list of commands is a problem",
    `script: []
`,
    `
.toroid.yml:1:9: expected a command or a list of commands, found an empty list
  1 | script: []
    |         ^^
`,
  ],
  [
    "a blank command is a problem",
    `script: ' '
`,
    `
.toroid.yml:1:9: a command cannot be empty
  1 | script: ' '
    |         ^^^
`,
  ],
  [
    "nothing is no command",
    `script:
`,
    `
.toroid.yml:1:8: expected a command or a list of commands, found nothing
  1 | script:
    |        ^
`,
  ],
  [
    "a word that is none of the choices comes with the nearest",
    `kind: libary
script: make
`,
    `
.toroid.yml:1:7: expected \`library\` or \`application\`, found \`libary\`
  1 | kind: libary
    |       ^^^^^^
    = did you mean \`library\`?
`,
  ],
  [
    "yes is not true",
    `script: make
matrix: { include: [{ NODE: "26", allow_failure: yes }] }
`,
    `
.toroid.yml:2:50: expected \`true\` or \`false\`, found \`yes\`
  1 | script: make
  2 | matrix: { include: [{ NODE: "26", allow_failure: yes }] }
    |                                                  ^^^
    = YAML 1.2 reads \`yes\` as text: write \`true\`
`,
  ],
  [
    "off is not false",
    `script: make
environments: { prod: { run: ./deploy, idempotent: off } }
`,
    `
.toroid.yml:2:52: expected \`true\` or \`false\`, found \`off\`
  1 | script: make
  2 | environments: { prod: { run: ./deploy, idempotent: off } }
    |                                                    ^^^
    = YAML 1.2 reads \`off\` as text: write \`false\`
`,
  ],
  [
    "a version in env that YAML would change asks for quotes",
    `env: { RUBY: 3.10 }
script: make
`,
    `
.toroid.yml:1:14: YAML reads \`3.10\` as 3.1, which is another text
  1 | env: { RUBY: 3.10 }
    |              ^^^^
    = put it in quotes: "3.10"
`,
  ],
  [
    "a number with zeros in front asks for quotes",
    `env:
  ACCOUNT: 012345
script: make
`,
    `
.toroid.yml:2:12: YAML reads \`012345\` as 12345, which is another text
  1 | env:
  2 |   ACCOUNT: 012345
    |            ^^^^^^
    = put it in quotes: "012345"
`,
  ],
  [
    "a version in a matrix asks for quotes",
    `matrix: { PYTHON: [3.9, 3.10] }
script: make
`,
    `
.toroid.yml:1:25: YAML reads \`3.10\` as 3.1, which is another text
  1 | matrix: { PYTHON: [3.9, 3.10] }
    |                         ^^^^
    = put it in quotes: "3.10"
`,
  ],
  [
    "a number where text belongs asks for quotes as it was written",
    `image: 3.10
script: make
`,
    `
.toroid.yml:1:8: expected the name of an image, or one of \`directory\`, \`tar\`, \`oci\`, \`debian\` and \`packer\`, found the number 3.10
  1 | image: 3.10
    |        ^^^^
    = put it in quotes: "3.10"
`,
  ],
  [
    "a variable without a value is a problem",
    `env: { A: }
script: make
`,
    `
.toroid.yml:1:11: expected text, found nothing
  1 | env: { A: }
    |           ^
`,
  ],
  [
    "a variable has a plain name",
    `env: { a-b: c }
script: make
`,
    `
.toroid.yml:1:8: \`a-b\` is no name for a variable: a letter or \`_\`, then letters, digits or \`_\`
  1 | env: { a-b: c }
    |        ^^^
`,
  ],
  [
    "variables of Toroid cannot be set",
    `env: { TOROID_BUILD: "1", CI: "false" }
script: make
`,
    `
.toroid.yml:1:8: \`TOROID_BUILD\` is set by Toroid
  1 | env: { TOROID_BUILD: "1", CI: "false" }
    |        ^^^^^^^^^^^^

.toroid.yml:1:27: \`CI\` is set by Toroid
  1 | env: { TOROID_BUILD: "1", CI: "false" }
    |                           ^^
`,
  ],
  [
    "a duration has a unit",
    `script: make
timeout: 30
`,
    `
.toroid.yml:2:10: expected a duration such as \`90s\`, \`30m\` or \`1h30m\`, or a mapping with \`queue\`, \`start\`, \`silence\` or \`hard\`, found the number 30
  1 | script: make
  2 | timeout: 30
    |          ^^
    = give it a unit: \`30m\` or \`30s\`
`,
  ],
  [
    "a duration in words is shown as one in letters",
    `script: make
timeout: 2 hours
`,
    `
.toroid.yml:2:10: expected a duration such as \`90s\`, \`30m\` or \`1h30m\`; write \`2h\`
  1 | script: make
  2 | timeout: 2 hours
    |          ^^^^^^^
`,
  ],
  [
    "a stage cannot take more than a day",
    `script: make
timeout: 25h
`,
    `
.toroid.yml:2:10: expected a duration from \`1s\` to \`24h\`
  1 | script: make
  2 | timeout: 25h
    |          ^^^
`,
  ],
  [
    "a size has a unit that says what it counts",
    `script: make
limits: { memory: 2G, log: 64 }
`,
    `
.toroid.yml:2:19: expected a size such as \`512MiB\` or \`2GiB\`; write \`2GiB\`
  1 | script: make
  2 | limits: { memory: 2G, log: 64 }
    |                   ^^

.toroid.yml:2:28: expected a size such as \`512MiB\` or \`2GiB\`, found the number 64
  1 | script: make
  2 | limits: { memory: 2G, log: 64 }
    |                            ^^
    = give it a unit: \`64MiB\` or \`64GiB\`
`,
  ],
  [
    "a limit has bounds",
    `script: make
limits: { memory: 1KiB, cpu: 0, pids: 1.5, log: 1TiB }
`,
    `
.toroid.yml:2:19: expected a size from \`8MiB\` to \`16TiB\`
  1 | script: make
  2 | limits: { memory: 1KiB, cpu: 0, pids: 1.5, log: 1TiB }
    |                   ^^^^

.toroid.yml:2:30: expected a number of CPUs from 0.01 to 1024
  1 | script: make
  2 | limits: { memory: 1KiB, cpu: 0, pids: 1.5, log: 1TiB }
    |                              ^

.toroid.yml:2:39: expected a number of processes from 1 to 4194304, found the number 1.5
  1 | script: make
  2 | limits: { memory: 1KiB, cpu: 0, pids: 1.5, log: 1TiB }
    |                                       ^^^

.toroid.yml:2:49: expected a size from \`64KiB\` to \`1GiB\`
  1 | script: make
  2 | limits: { memory: 1KiB, cpu: 0, pids: 1.5, log: 1TiB }
    |                                                 ^^^^
`,
  ],
  [
    "a path cannot leave the checkout",
    `script: make
workdir: ../other
`,
    `
.toroid.yml:2:10: a path cannot leave the checkout with \`..\`
  1 | script: make
  2 | workdir: ../other
    |          ^^^^^^^^
`,
  ],
  [
    "a path cannot be absolute",
    `script: make
workdir: /srv
`,
    `
.toroid.yml:2:10: expected a path inside the checkout, found an absolute one
  1 | script: make
  2 | workdir: /srv
    |          ^^^^
`,
  ],
  [
    "a pattern cannot be a regular expression",
    `script: make
on: { tags: /^v\\d+$/ }
`,
    `
.toroid.yml:2:13: this is a regular expression; patterns here are globs such as \`v*\` or \`api/**\`
  1 | script: make
  2 | on: { tags: /^v\\d+$/ }
    |             ^^^^^^^^
`,
  ],
  [
    "a pattern has both its brackets",
    `script: make
on: { branches: "release/[0-9" }
`,
    `
.toroid.yml:2:17: this pattern has a \`[\` without its \`]\`, or ends in a \`\\\`
  1 | script: make
  2 | on: { branches: "release/[0-9" }
    |                 ^^^^^^^^^^^^^^
`,
  ],
  [
    "filters stand in one place",
    `script: make
on: { push: { branches: main }, tags: v* }
`,
    `
.toroid.yml:2:5: write \`branches\`, \`tags\` and \`paths\` either under \`push\` or beside each other, not both
  1 | script: make
  2 | on: { push: { branches: main }, tags: v* }
    |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
`,
  ],
  [
    "on takes a mapping",
    `script: make
on: push
`,
    `
.toroid.yml:2:5: expected a mapping with \`branches\`, \`tags\` or \`paths\`, found \`push\`
  1 | script: make
  2 | on: push
    |     ^^^^
`,
  ],
  [
    "publish needs a command",
    `script: make
publish: { on: { tags: v* } }
`,
    `
.toroid.yml:2:1: \`run\` is missing: expected a command or a list of commands
  1 | script: make
  2 | publish: { on: { tags: v* } }
    | ^^^^^^^
`,
  ],
  [
    "a network is one of two words or hosts",
    `script: make
network: of
`,
    `
.toroid.yml:2:10: expected \`full\`, \`none\` or a list of hosts, found \`of\`
  1 | script: make
  2 | network: of
    |          ^^
`,
  ],
  [
    "a list of hosts has hosts in it, and each mistake is told",
    `script: make
network:
  - https://example.com/x
  - "*.example.com"
  - example.com/x
  - example.com:https
  - "2001:db8::1"
  - 10.0.0.1/8
  - 10.0.0.256
  - 127.0.0.1
  - localhost:80
  - 224.0.0.1
  - not a host
  - ""
  - { name: example.com }
`,
    `
.toroid.yml:3:5: expected the name of a host, found a URL; write \`example.com:443\`
  2 | network:
  3 |   - https://example.com/x
    |     ^^^^^^^^^^^^^^^^^^^^^

.toroid.yml:4:5: hosts cannot be listed by a pattern: a build is held to addresses, so each needs its name
  3 |   - https://example.com/x
  4 |   - "*.example.com"
    |     ^^^^^^^^^^^^^^^

.toroid.yml:5:5: expected the name of a host, found a path; write \`example.com\`
  4 |   - "*.example.com"
  5 |   - example.com/x
    |     ^^^^^^^^^^^^^

.toroid.yml:6:5: expected a port from 1 to 65535 after the \`:\`
  5 |   - example.com/x
  6 |   - example.com:https
    |     ^^^^^^^^^^^^^^^^^

.toroid.yml:7:5: expected an IPv4 address or a name, found IPv6, which a build does not have
  6 |   - example.com:https
  7 |   - "2001:db8::1"
    |     ^^^^^^^^^^^^^

.toroid.yml:8:5: expected a network as \`203.0.113.0/24\`, with nothing set behind the prefix
  7 |   - "2001:db8::1"
  8 |   - 10.0.0.1/8
    |     ^^^^^^^^^^

.toroid.yml:9:5: expected an IPv4 address as \`203.0.113.5\`: four numbers from 0 to 255
  8 |   - 10.0.0.1/8
  9 |   - 10.0.0.256
    |     ^^^^^^^^^^

.toroid.yml:10:5: a build always reaches its own loopback, and it cannot be listed
   9 |   - 10.0.0.256
  10 |   - 127.0.0.1
     |     ^^^^^^^^^

.toroid.yml:11:5: a build always reaches its own loopback, and it cannot be listed
  10 |   - 127.0.0.1
  11 |   - localhost:80
     |     ^^^^^^^^^^^^

.toroid.yml:12:5: expected the address of a host, found one that no host has
  11 |   - localhost:80
  12 |   - 224.0.0.1
     |     ^^^^^^^^^

.toroid.yml:13:5: expected the name of a host: letters, digits, \`-\` and \`_\` between dots
  12 |   - 224.0.0.1
  13 |   - not a host
     |     ^^^^^^^^^^

.toroid.yml:14:5: the name of a host cannot be empty
  13 |   - not a host
  14 |   - ""
     |     ^^

.toroid.yml:15:5: expected the name or address of a host, found a mapping
  14 |   - ""
  15 |   - { name: example.com }
     |     ^^^^^^^^^^^^^^^^^^^^^
`,
  ],
];

const IMAGES: readonly Case[] = [
  [
    "an image reference is no name",
    `script: make
image: docker.io/library/node:22
`,
    `
.toroid.yml:2:8: expected the name of an image, found a reference; write \`{ oci: … }\`
  1 | script: make
  2 | image: docker.io/library/node:22
    |        ^^^^^^^^^^^^^^^^^^^^^^^^^
`,
  ],
  [
    "an image path is no name",
    `script: make
image: ./rootfs
`,
    `
.toroid.yml:2:8: expected the name of an image, found a path; write \`{ directory: … }\` or \`{ tar: … }\`
  1 | script: make
  2 | image: ./rootfs
    |        ^^^^^^^^
`,
  ],
  [
    "an image is of one kind",
    `script: make
image: { tar: a.tar, directory: /srv/a }
`,
    `
.toroid.yml:2:8: expected exactly one of \`directory\`, \`tar\`, \`oci\`, \`debian\` and \`packer\`
  1 | script: make
  2 | image: { tar: a.tar, directory: /srv/a }
    |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
`,
  ],
  [
    "only an image that is made is made on another",
    `script: make
image: { tar: a.tar, base: debian }
`,
    `
.toroid.yml:2:8: \`base\` and \`files\` are for an image that is made by \`packer\`
  1 | script: make
  2 | image: { tar: a.tar, base: debian }
    |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
`,
  ],
  [
    "an image is not made on one that is made",
    `script: make
image: { packer: .packer, base: { packer: other } }
`,
    `
.toroid.yml:2:33: expected exactly one of \`directory\`, \`tar\`, \`oci\` and \`debian\`
  1 | script: make
  2 | image: { packer: .packer, base: { packer: other } }
    |                                 ^^^^^^^^^^^^^^^^^

.toroid.yml:2:35: \`packer\` is not a key in \`image.base\`
  1 | script: make
  2 | image: { packer: .packer, base: { packer: other } }
    |                                   ^^^^^^
    = did you mean \`packages\`?
`,
  ],
  [
    "a variable in an image has to be set",
    `script: make
matrix: { NODE: ["22"] }
image: node-\${NOD}
`,
    `
.toroid.yml:3:8: \`\${NOD}\` is not set
  2 | matrix: { NODE: ["22"] }
  3 | image: node-\${NOD}
    |        ^^^^^^^^^^^
    = did you mean \`NODE\`?
`,
  ],
  [
    "an image filled in still has to be a name",
    `script: make
matrix: { NODE: ["a/b"] }
image: node-\${NODE}
`,
    `
.toroid.yml:3:8: expected the name of an image, found a reference; write \`{ oci: … }\`
  2 | matrix: { NODE: ["a/b"] }
  3 | image: node-\${NODE}
    |        ^^^^^^^^^^^^
`,
  ],
  [
    "the path of an image cannot climb",
    `script: make
image: { directory: a/../../b }
`,
    `
.toroid.yml:2:21: the path of an image cannot contain \`..\`
  1 | script: make
  2 | image: { directory: a/../../b }
    |                     ^^^^^^^^^
`,
  ],
];

const THEMATRIX: readonly Case[] = [
  [
    "a matrix makes 256 builds at most",
    `script: make
matrix: { A: [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16], B: [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15] }
`,
    `
.toroid.yml:2:1: the matrix makes 272 builds; 256 is the most
  1 | script: make
  2 | matrix: { A: [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16], B: [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15] …
    | ^^^^^^
`,
  ],
  [
    "a matrix without values makes no build",
    `script: make
matrix: {}
`,
    `
.toroid.yml:2:1: the matrix makes no build at all
  1 | script: make
  2 | matrix: {}
    | ^^^^^^
`,
  ],
  [
    "an axis has values",
    `script: make
matrix: { NODE: [] }
`,
    `
.toroid.yml:2:17: expected at least one value
  1 | script: make
  2 | matrix: { NODE: [] }
    |                 ^^
`,
  ],
  [
    "an axis has a value once",
    `script: make
matrix: { NODE: ["22", 22] }
`,
    `
.toroid.yml:2:24: \`22\` is there twice
  1 | script: make
  2 | matrix: { NODE: ["22", 22] }
    |                        ^^
`,
  ],
  [
    "an axis is a list",
    `script: make
matrix: { NODE: 22 }
`,
    `
.toroid.yml:2:17: expected a list of values, found the number 22
  1 | script: make
  2 | matrix: { NODE: 22 }
    |                 ^^
`,
  ],
  [
    "an exclusion excludes something",
    `script: make
matrix: { NODE: [22, 24], exclude: [{ NODE: 26 }] }
`,
    `
.toroid.yml:2:37: this excludes nothing: no combination has these values
  1 | script: make
  2 | matrix: { NODE: [22, 24], exclude: [{ NODE: 26 }] }
    |                                     ^^^^^^^^^^^^
`,
  ],
  [
    "a matrix that excludes everything makes no build",
    `script: make
matrix: { NODE: [22], exclude: [{ NODE: 22 }] }
`,
    `
.toroid.yml:2:1: the matrix makes no build at all
  1 | script: make
  2 | matrix: { NODE: [22], exclude: [{ NODE: 22 }] }
    | ^^^^^^
`,
  ],
  [
    "values stand in names and are printable",
    `script: make
matrix: { NODE: ["a\\nb"] }
`,
    `
.toroid.yml:2:18: a value of the matrix can have printable ASCII characters only
  1 | script: make
  2 | matrix: { NODE: ["a\\nb"] }
    |                  ^^^^^^
`,
  ],
  [
    "two combinations cannot share a name",
    `script: make
matrix: { A: ["1 B=2"], include: [{ A: "1", B: "2" }] }
`,
    `
.toroid.yml:2:1: two combinations would both be the stage \`build A=1 B=2\`
  1 | script: make
  2 | matrix: { A: ["1 B=2"], include: [{ A: "1", B: "2" }] }
    | ^^^^^^
`,
  ],
  [
    "a plan has a bound",
    `script: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
matrix: { A: [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63,64,65,66,67,68,69,70,71,72,73,74,75,76,77,78,79,80,81,82,83,84,85,86,87,88,89,90,91,92,93,94,95,96,97,98,99] }
`,
    `
.toroid.yml:2:1: the plan of this file is too large: 100 stages take 946 KiB, 512 is the most
  1 | script: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
  2 | matrix: { A: [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,…
    | ^^^^^^
    = move long scripts into files of the repository
`,
  ],
];

const ENVIRONMENTS: readonly Case[] = [
  [
    "next names an environment of the file",
    `script: make
next: stag
environments: { stage: { run: ./deploy, next: production }, prod: { run: ./deploy } }
`,
    `
.toroid.yml:2:7: \`stag\` is no environment of this file
  1 | script: make
  2 | next: stag
    |       ^^^^
    = did you mean \`stage\`?

.toroid.yml:3:47: \`production\` is no environment of this file
  2 | next: stag
  3 | environments: { stage: { run: ./deploy, next: production }, prod: { run: ./deploy } }
    |                                               ^^^^^^^^^^
    = there is \`stage\` and \`prod\`
`,
  ],
  [
    "next without environments names nothing",
    `script: make
next: stage
`,
    `
.toroid.yml:2:7: \`stage\` is no environment of this file
  1 | script: make
  2 | next: stage
    |       ^^^^^
    = declare it under \`environments\`
`,
  ],
  [
    "a circle is named whole",
    `script: make
environments:
  dev: { run: ./deploy, next: stage }
  stage: { run: ./deploy, next: prod }
  prod: { run: ./deploy, next: stage }
`,
    `
.toroid.yml:5:32: environments promote in a circle: stage → prod → stage
  4 |   stage: { run: ./deploy, next: prod }
  5 |   prod: { run: ./deploy, next: stage }
    |                                ^^^^^
    = remove one \`next\` of them
`,
  ],
  [
    "an environment cannot follow itself",
    `script: make
environments:
  prod: { run: ./deploy, next: prod }
`,
    `
.toroid.yml:3:32: environments promote in a circle: prod → prod
  2 | environments:
  3 |   prod: { run: ./deploy, next: prod }
    |                                ^^^^
    = remove one \`next\` of them
`,
  ],
  [
    "the first environment cannot come after another unless next says so",
    `script: make
environments:
  prod: { run: ./deploy }
  stage: { run: ./deploy, next: prod }
`,
    `
.toroid.yml:3:3: \`prod\` is the first environment, where promotion begins, but it also comes after \`stage\`
  2 | environments:
  3 |   prod: { run: ./deploy }
    |   ^^^^
    = say at the top of the file where promotion begins, for example \`next: stage\`
`,
  ],
  [
    "an environment that is there twice is refused",
    `script: make
environments:
  prod: { run: ./deploy }
  prod: { run: ./other }
`,
    `
.toroid.yml:4:3: the key \`prod\` is there twice
  3 |   prod: { run: ./deploy }
  4 |   prod: { run: ./other }
    |   ^^^^
    = keep one of the two: YAML would silently drop the other
`,
  ],
  [
    "names that variables cannot tell apart are refused",
    `script: make
environments:
  stage-eu: { run: ./deploy }
  Stage_EU: { run: ./deploy }
`,
    `
.toroid.yml:4:3: \`Stage_EU\` and \`stage-eu\` are the same environment in the names of variables
  3 |   stage-eu: { run: ./deploy }
  4 |   Stage_EU: { run: ./deploy }
    |   ^^^^^^^^
    = choose another name for one of them
`,
  ],
  [
    "a reserved name is refused",
    `script: make
environments: { build: { run: ./deploy } }
`,
    `
.toroid.yml:2:17: \`build\` is reserved and cannot name an environment
  1 | script: make
  2 | environments: { build: { run: ./deploy } }
    |                 ^^^^^
`,
  ],
  [
    "a name has a grammar",
    `script: make
environments: { 1st place: { run: ./deploy } }
`,
    `
.toroid.yml:2:17: \`1st place\` is no name for an environment: a letter, then letters, digits, \`-\` or \`_\`, 63 at most
  1 | script: make
  2 | environments: { 1st place: { run: ./deploy } }
    |                 ^^^^^^^^^
`,
  ],
  [
    "an environment has something to run",
    `script: make
environments: { stage: { run: ./deploy }, prod: }
`,
    `
.toroid.yml:2:43: \`prod\` has nothing to run
  1 | script: make
  2 | environments: { stage: { run: ./deploy }, prod: }
    |                                           ^^^^
    = give it a \`run\`, or the file an \`entrypoint\`
`,
  ],
  [
    "an environment is a mapping",
    `script: make
environments: { prod: ./deploy }
`,
    `
.toroid.yml:2:23: expected a mapping, found \`./deploy\`
  1 | script: make
  2 | environments: { prod: ./deploy }
    |                       ^^^^^^^^
`,
  ],
  [
    "no environments is no `environments`",
    `script: make
environments: {}
`,
    `
.toroid.yml:2:1: \`environments\` is empty
  1 | script: make
  2 | environments: {}
    | ^^^^^^^^^^^^
    = declare one, or remove the key
`,
  ],
  [
    "an entry point needs environments",
    `script: make
entrypoint: bin/deploy
`,
    `
.toroid.yml:2:1: \`entrypoint\` is called for environments, and this file has none
  1 | script: make
  2 | entrypoint: bin/deploy
    | ^^^^^^^^^^
    = declare \`environments\`
`,
  ],
  [
    "a library has no environments and no AMI",
    `kind: library
script: make
artifact: { ami: {} }
environments: { prod: { run: ./deploy } }
`,
    `
.toroid.yml:3:13: a library has no AMI
  2 | script: make
  3 | artifact: { ami: {} }
    |             ^^^
    = write \`kind: application\`, or leave \`kind\` out

.toroid.yml:4:1: a library has no environments
  3 | artifact: { ami: {} }
  4 | environments: { prod: { run: ./deploy } }
    | ^^^^^^^^^^^^
    = write \`kind: application\`, or leave \`kind\` out
`,
  ],
  [
    "what an AMI is made of and for is checked",
    `script: make
artifact:
  ami:
    regions: [mars]
    share: 123456789012
    source: { name: debian-13-* }
    instance_type: big
    files: [a]
    provision: magic
`,
    `
.toroid.yml:4:15: expected the name of a region, such as \`eu-west-1\`
  3 |   ami:
  4 |     regions: [mars]
    |               ^^^^

.toroid.yml:5:12: expected an account of 12 digits in quotes or a list of them, found the number 123456789012
  4 |     regions: [mars]
  5 |     share: 123456789012
    |            ^^^^^^^^^^^^

.toroid.yml:6:5: \`owner\` is missing: expected who owns it
  5 |     share: 123456789012
  6 |     source: { name: debian-13-* }
    |     ^^^^^^

.toroid.yml:7:20: expected a type of instance, such as \`t3.small\`
  6 |     source: { name: debian-13-* }
  7 |     instance_type: big
    |                    ^^^

.toroid.yml:8:12: \`files\` is for a template that \`packer\` names
  7 |     instance_type: big
  8 |     files: [a]
    |            ^^^

.toroid.yml:9:16: expected \`difference\` or \`replay\`, found \`magic\`
  8 |     files: [a]
  9 |     provision: magic
    |                ^^^^^
`,
  ],
  [
    "an AMI is baked of one build stage",
    `script: make
matrix: { NODE: ["22", "24"] }
artifact: { ami: {} }
`,
    `
.toroid.yml:3:13: an AMI is baked of one build stage, and \`matrix\` makes 2 of them
  2 | matrix: { NODE: ["22", "24"] }
  3 | artifact: { ami: {} }
    |             ^^^
    = leave one combination, or bake in a repository of its own
`,
  ],
  [
    "64 environments are the most",
    `script: make
environments: { e0: { run: x }, e1: { run: x }, e2: { run: x }, e3: { run: x }, e4: { run: x }, e5: { run: x }, e6: { run: x }, e7: { run: x }, e8: { run: x }, e9: { run: x }, e10: { run: x }, e11: { run: x }, e12: { run: x }, e13: { run: x }, e14: { run: x }, e15: { run: x }, e16: { run: x }, e17: { run: x }, e18: { run: x }, e19: { run: x }, e20: { run: x }, e21: { run: x }, e22: { run: x }, e23: { run: x }, e24: { run: x }, e25: { run: x }, e26: { run: x }, e27: { run: x }, e28: { run: x }, e29: { run: x }, e30: { run: x }, e31: { run: x }, e32: { run: x }, e33: { run: x }, e34: { run: x }, e35: { run: x }, e36: { run: x }, e37: { run: x }, e38: { run: x }, e39: { run: x }, e40: { run: x }, e41: { run: x }, e42: { run: x }, e43: { run: x }, e44: { run: x }, e45: { run: x }, e46: { run: x }, e47: { run: x }, e48: { run: x }, e49: { run: x }, e50: { run: x }, e51: { run: x }, e52: { run: x }, e53: { run: x }, e54: { run: x }, e55: { run: x }, e56: { run: x }, e57: { run: x }, e58: { run: x }, e59: { run: x }, e60: { run: x }, e61: { run: x }, e62: { run: x }, e63: { run: x }, e64: { run: x } }
`,
    `
.toroid.yml:2:1: the file has 65 environments; 64 is the most
  1 | script: make
  2 | environments: { e0: { run: x }, e1: { run: x }, e2: { run: x }, e3: { run: x }, e4: { run: x }, e5: …
    | ^^^^^^^^^^^^
`,
  ],
];

const NOTIFY: readonly Case[] = [
  [
    "whom to notify is named, and not described",
    `script: make
notify: { slack: "#ci" }
`,
    `
.toroid.yml:2:1: \`to\` is missing: expected the name of a target
  1 | script: make
  2 | notify: { slack: "#ci" }
    | ^^^^^^

.toroid.yml:2:11: \`slack\` is not a key in \`notify\`
  1 | script: make
  2 | notify: { slack: "#ci" }
    |           ^^^^^
    = the keys here are to, on, branches
`,
  ],
  [
    "an address is none of the operator's targets",
    `script: make
notify:
  - team
  - https://evil.example/hook
`,
    `
.toroid.yml:4:5: expected the name of a target that the operator configured: 40 letters, digits, \`-\` and \`_\` at most
  3 |   - team
  4 |   - https://evil.example/hook
    |     ^^^^^^^^^^^^^^^^^^^^^^^^^
`,
  ],
  [
    "a target is told on change, always or never, and of branches by patterns",
    `script: make
notify: [{ to: team, on: sometimes, branches: ["[a"] }]
`,
    `
.toroid.yml:2:26: expected \`change\`, \`always\` or \`never\`, found \`sometimes\`
  1 | script: make
  2 | notify: [{ to: team, on: sometimes, branches: ["[a"] }]
    |                          ^^^^^^^^^

.toroid.yml:2:48: this pattern has a \`[\` without its \`]\`, or ends in a \`\\\`
  1 | script: make
  2 | notify: [{ to: team, on: sometimes, branches: ["[a"] }]
    |                                                ^^^^
`,
  ],
  [
    "a target is named once",
    `script: make
notify: [team, { to: team, on: always }]
`,
    `
.toroid.yml:2:16: \`team\` is named twice
  1 | script: make
  2 | notify: [team, { to: team, on: always }]
    |                ^^^^^^^^^^^^^^^^^^^^^^^^
`,
  ],
];

for (const [about, cases] of Object.entries({
  YAML: YAML,
  notify: NOTIFY,
  keys: KEYS,
  values: VALUES,
  images: IMAGES,
  "the matrix": THEMATRIX,
  environments: ENVIRONMENTS,
})) {
  describe(about, () => {
    for (const [claim, text, told] of cases) test(claim, () => assert.equal(`\n${framed(text)}\n`, told));
  });
}
