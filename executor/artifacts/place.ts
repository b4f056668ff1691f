/** Where artifacts are, as an operator writes it. Pure. */
import { isAbsolute } from "node:path";
import type { BucketConfig } from "./bucket.ts";

export type ArtifactsPlace =
  | { readonly kind: "directory"; readonly path: string }
  | ({ readonly kind: "bucket" } & BucketConfig);

const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^[A-Za-z0-9!_.*'()-]+(\/[A-Za-z0-9!_.*'()-]+)*\/?$/;

/** `/a/path`, or `s3://bucket/prefix`; null when it is neither. */
export function placeIn(
  text: string,
): { readonly path: string } | { readonly bucket: string; readonly prefix: string } | null {
  if (isAbsolute(text)) return { path: text };
  const [, bucket = "", prefix = ""] = /^s3:\/\/([^/]+)(?:\/(.*))?$/.exec(text) ?? [];
  if (!BUCKET_NAME.test(bucket) || (prefix !== "" && !PREFIX.test(prefix)) || prefix.length > 512) return null;
  return { bucket, prefix: prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/` };
}
