// Requests between regions are signed with a shared secret: HMAC over sender, receiver, method, path, time, nonce and the
// digest of the body. A signature is good for SIGNATURE_WINDOW_MS around the receiver's clock; a sender whose clock is off
// is told by how much, under the receiver's own signature, and signs again. A nonce is taken once.
//
// The digest travels in the field, so that a stranger is refused before a byte of his body is read. The receiver is in
// the signature, so that a message recorded on one link is nothing on another.
//
// The nonce is the sender's boot id and a counter. The receiver keeps, per boot id, the highest counter and a window of
// bits below it, so replays are told in constant memory however many messages pass. What was signed before the receiver
// started may have been taken by the process before it: it is refused as of another time, and signed again.

import { ByteWriter, sameInConstantTime, toHex, utf8 } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import { SIGNATURE_WINDOW_MS } from '../core/limits.ts';
import type { HashFunction } from '../core/version/tag.ts';

export interface SignedFields {
  readonly from: string;
  readonly to: string;
  readonly method: string;
  readonly path: string;
  readonly timeMs: number;
  readonly boot: string;
  readonly counter: number;
}

export interface Signature extends SignedFields {
  /** Of the body, in hexadecimal digits. */
  readonly digest: string;
  readonly mac: string;
}

export const SIGNATURE_FIELD = 'archipel-signature';
export const OFFSET_FIELD = 'archipel-clock';

export class Signer {
  readonly #mac: HashFunction;
  readonly #hash: HashFunction;

  constructor(mac: HashFunction, hash: HashFunction) {
    this.#mac = mac;
    this.#hash = hash;
  }

  sign(fields: SignedFields, body: Uint8Array): string {
    const digest = toHex(this.#hash(body));
    return `${fields.from} ${fields.timeMs} ${fields.boot} ${fields.counter} ${digest} ${this.#macOf(fields, digest)}`;
  }

  #macOf({ from, to, method, path, timeMs, boot, counter }: SignedFields, digest: string): string {
    const out = new ByteWriter(256);
    for (const part of [from, to, method, path, String(timeMs), boot, String(counter), digest]) out.text(part);
    return toHex(this.#mac(out.finish()));
  }

  isAuthentic(signature: Signature): boolean {
    return sameInConstantTime(this.#macOf(signature, signature.digest), signature.mac);
  }

  isOf(signature: Signature, body: Uint8Array): boolean {
    return toHex(this.#hash(body)) === signature.digest;
  }

  /** The receiver's time, for a sender whose clock is off. */
  signClock(timeMs: number, requestMac: string): string {
    return `${timeMs} ${toHex(this.#mac(utf8(`clock ${timeMs} ${requestMac}`)))}`;
  }

  /** Undefined when it is not authentic. */
  readClock(text: string, requestMac: string): number | undefined {
    const [time = '', mac = ''] = text.split(' ');
    return sameInConstantTime(toHex(this.#mac(utf8(`clock ${time} ${requestMac}`))), mac) ? Number(time) : undefined;
  }
}

export type SignedRequest = Pick<SignedFields, 'to' | 'method' | 'path'>;

export function parseSignature(text: string, request: SignedRequest): Signature | undefined {
  const match = /^([a-z0-9-]{1,32}) (0|[1-9][0-9]{0,14}) ([0-9a-f]{16}) (0|[1-9][0-9]{0,14}) ([0-9a-f]{64}) ([0-9a-f]{64})$/.exec(text);
  if (match === null) return undefined;
  const [, from = '', timeMs = '', boot = '', counter = '', digest = '', mac = ''] = match;
  return { from, ...request, timeMs: Number(timeMs), boot, counter: Number(counter), digest, mac };
}

export const macOf = (signature: string): string => signature.slice(signature.lastIndexOf(' ') + 1);

/** Counters this far below the highest are told apart; older ones are refused as replays. */
export const NONCE_WINDOW = 4_096;
/** Senders, with the ones that they were before a restart, whose windows are kept. */
export const BOOTS_MAX = 64;

interface Boot {
  highest: number;
  readonly seen: Uint8Array;
  lastMs: number;
}

export class NonceWindow {
  readonly #boots = new Map<string, Boot>();

  /** Was it taken, or is it too old to be told? Looks, and changes nothing. */
  has(boot: string, counter: number): boolean {
    const window = this.#boots.get(boot);
    if (window === undefined || counter > window.highest) return false;
    return counter <= window.highest - NONCE_WINDOW || window.seen[counter % NONCE_WINDOW] === 1;
  }

  get size(): number {
    return this.#boots.size;
  }

  /** False when this nonce was taken before, or is too old to be told. */
  take(boot: string, counter: number, nowMs: number): boolean {
    let window = this.#boots.get(boot);
    if (window === undefined) {
      this.#makeRoom(nowMs);
      this.#boots.set(boot, (window = { highest: counter - 1, seen: new Uint8Array(NONCE_WINDOW), lastMs: nowMs }));
    }
    window.lastMs = nowMs;
    if (this.has(boot, counter)) return false;
    for (let skipped = window.highest + 1; skipped < counter && skipped <= window.highest + NONCE_WINDOW; skipped++) window.seen[skipped % NONCE_WINDOW] = 0;
    window.seen[counter % NONCE_WINDOW] = 1;
    window.highest = Math.max(window.highest, counter);
    return true;
  }

  /** A boot id that was silent for two windows cannot be replayed: its signatures have expired. */
  #makeRoom(nowMs: number): void {
    if (this.#boots.size < BOOTS_MAX) return;
    for (const [boot, { lastMs }] of this.#boots) if (nowMs - lastMs > 2 * SIGNATURE_WINDOW_MS) this.#boots.delete(boot);
    const [oldest] = [...this.#boots].sort((a, b) => a[1].lastMs - b[1].lastMs);
    if (this.#boots.size >= BOOTS_MAX && oldest !== undefined) this.#boots.delete(oldest[0]);
  }
}

/** Verifies what arrives: `admit` by its head, `accept` when the body is there. */
export class Verifier {
  readonly #signer: Signer;
  readonly #nonces = new NonceWindow();
  #sinceMs: number;
  readonly stats = { invalid: 0, expired: 0, replayed: 0 };

  /** @param startedMs the wall clock now: what was signed earlier may have been taken before a restart */
  constructor(signer: Signer, startedMs: number) {
    this.#signer = signer;
    this.#sinceMs = startedMs;
  }

  /** Authentic, for here, of now, and new. @throws ArchipelError `signature-invalid`, `signature-expired`, `replayed` */
  admit(field: string | undefined, request: SignedRequest, nowMs: number): Signature {
    const signature = field === undefined ? undefined : parseSignature(field, request);
    if (signature === undefined || !this.#signer.isAuthentic(signature)) throw this.#invalid();
    // A wall that was put back counts from where it stands now: what was signed before is then out of the window.
    this.#sinceMs = Math.min(this.#sinceMs, nowMs);
    if (Math.abs(signature.timeMs - nowMs) > SIGNATURE_WINDOW_MS || signature.timeMs < Math.floor(this.#sinceMs)) {
      this.stats.expired++;
      throw new ArchipelError('signature-expired', 'The signature is of another time.', { mac: signature.mac });
    }
    if (this.#nonces.has(signature.boot, signature.counter)) throw this.#replayed();
    return signature;
  }

  /** The body is what was signed, and nobody took the nonce meanwhile. @throws ArchipelError `signature-invalid`, `replayed` */
  accept(signature: Signature, body: Uint8Array, nowMs: number): void {
    if (!this.#signer.isOf(signature, body)) throw this.#invalid();
    if (!this.#nonces.take(signature.boot, signature.counter, nowMs)) throw this.#replayed();
  }

  #invalid(): ArchipelError {
    this.stats.invalid++;
    return new ArchipelError('signature-invalid', 'The request is not signed by a region of this cluster.');
  }

  #replayed(): ArchipelError {
    this.stats.replayed++;
    return new ArchipelError('replayed', 'This message was received before.');
  }
}
