// Randomness and cryptography: arguments of core, ports of the engine. The simulation gives seeded ones.

import { toHex } from '../core/bytes.ts';

export interface Random {
  /** Unpredictable bytes (cryptographic outside of simulations): incarnations, nonces, keys, jitter. */
  bytes(length: number): Uint8Array;
}

/** A number in [0, 1) for jitter. */
export function unit(random: Random): number {
  const [a = 0, b = 0, c = 0, d = 0] = random.bytes(4);
  return (((a << 24) | (b << 16) | (c << 8) | d) >>> 0) / 2 ** 32;
}

/** RFC 9562 version 7: 48 bits of milliseconds, then randomness. Carries its time, which operation ids need. */
export function uuidV7(random: Random, nowMs: number): string {
  const bytes = random.bytes(16);
  let rest = nowMs;
  for (let i = 5; i >= 0; i--) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = toHex(bytes);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** When a UUIDv7 was minted, in milliseconds since 1970; undefined for any other text. */
export function uuidV7Ms(text: string): number | undefined {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i.test(text)) return undefined;
  return Number.parseInt(text.slice(0, 8) + text.slice(9, 13), 16);
}
