/** What is done on the instance: how what the build left comes to be there. Pure: text. */
import { CHECKOUT_DIR } from "../workspace/driver.ts";
import type { Provisioner } from "./baking.ts";

/** Where Packer's workspace has what is put on the instance. */
export const PARCELS_DIR = "/toroid/bake";
export const DIFFERENCE = "toroid-difference.tar.gz";
export const CHECKOUT = "toroid-checkout.tar.gz";
export const UNPACK = "unpack.sh";

/** Of a workspace and of no machine: what the sandbox makes for each run, and who the machine is. */
const NOT_FOR_MACHINES = [
  "dev",
  "proc",
  "run",
  "sys",
  "tmp",
  "toroid",
  "var/run",
  "var/tmp",
  "workspace",
  "etc/hostname",
  "etc/hosts",
  "etc/machine-id",
  "etc/mtab",
  "etc/resolv.conf",
] as const;

/** @param difference what runs wrote goes along, and not the checkout alone */
export function unpackingOf(difference: boolean): readonly Provisioner[] {
  const parcels = difference ? [DIFFERENCE, CHECKOUT] : [CHECKOUT];
  return [
    ...parcels.map((name): Provisioner => ["file", { source: `${PARCELS_DIR}/${name}`, destination: `/tmp/${name}` }]),
    ["shell", { script: `${PARCELS_DIR}/${UNPACK}` }],
  ];
}

/**
 * As root, or as who may become root without a password. A layer says what is not there any more by files that begin
 * with `.wh.`; directories that are there are kept, and links to some, for another image may have them elsewhere.
 */
export function unpackText(): string {
  const exclude = NOT_FOR_MACHINES.flatMap((path) => [`--exclude='./${path}'`, `--exclude='${path}'`]).join(" ");
  const kept = NOT_FOR_MACHINES.map((path) => `${path} | ${path}/*`).join(" | ");
  return `#!/bin/sh
# Made by Toroid: puts on this machine what the build left.
set -eu
[ "$(id -u)" -eq 0 ] || exec sudo -n -- /bin/sh "$0"
cd /
umask 022
difference=/tmp/${DIFFERENCE}
checkout=/tmp/${CHECKOUT}
if [ -f "$difference" ]; then
  tar --list --gzip --anchored ${exclude} --file "$difference" | while IFS= read -r path; do
    path=\${path#./}
    name=\${path##*/}
    dir=\${path%"$name"}
    case $path in ${kept}) continue ;; esac
    case $name in
    .wh..wh..opq) [ ! -d "/$dir" ] || find "/$dir" -mindepth 1 -delete ;;
    .wh.*) rm -rf -- "/$dir\${name#.wh.}" ;;
    esac
  done
  tar --extract --gzip --anchored ${exclude} --no-anchored --exclude='.wh.*' --numeric-owner --preserve-permissions \\
    --no-overwrite-dir --keep-directory-symlink --file "$difference"
fi
mkdir -p ${CHECKOUT_DIR}
tar --extract --gzip --preserve-permissions --numeric-owner --directory ${CHECKOUT_DIR} --file "$checkout"
rm -f "$difference" "$checkout"
`;
}
