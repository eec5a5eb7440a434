// SHA-256 and what is built on it, from Node. Core and engine get these as arguments.

import { createHash, hash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { ByteWriter } from '../../core/bytes.ts';
import type { HashFunction } from '../../core/version/tag.ts';
import type { Random } from '../../ports/random.ts';

// The one-shot call is several times faster than createHash for the short inputs that we have; and to a string of one
// byte a character and back three times as fast as to a buffer (0.35 and 1.0 µs for 40 bytes).
export const sha256: HashFunction = (bytes) => {
  const digest = new Uint8Array(DIGEST);
  digestInto(digest, 0, bytes);
  return digest;
};

function digestInto(target: Uint8Array, at: number, bytes: Uint8Array): void {
  const digest = hash('sha256', bytes, 'binary');
  for (let i = 0; i < DIGEST; i++) target[at + i] = digest.charCodeAt(i);
}

const DIGEST = 32;

const BLOCK = 64;

/** HMAC-SHA-256 (RFC 2104) by two one-shot hashes: Node's createHmac costs three times as much for short messages. */
export function hmacSha256(key: Uint8Array): HashFunction {
  const block = new Uint8Array(BLOCK);
  block.set(key.length > BLOCK ? sha256(key) : key);
  const inner = block.map((byte) => byte ^ 0x36);
  const outer = new Uint8Array(BLOCK + DIGEST);
  outer.set(block.map((byte) => byte ^ 0x5c));
  const first = new ByteWriter();
  return (message) => {
    digestInto(outer, BLOCK, first.reset().bytes(inner).bytes(message).view());
    return sha256(outer);
  };
}

/** A key of 32 bytes for one purpose, from the cluster's secret (HKDF, RFC 5869). */
export const deriveKey = (secret: Uint8Array, purpose: string): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), `archipel ${purpose}`, 32));

export const nodeRandom: Random = { bytes: (length) => new Uint8Array(randomBytes(length)) };

/** Constant time in the contents; false at once for different lengths. */
export const sameSecret = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

export const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
