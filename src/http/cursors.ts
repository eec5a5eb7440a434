// Where a listing goes on. A cursor is opaque, of one version, good in every region, and authenticated together with what
// it was given for: that of another listing, or one that somebody made up, is refused, so that no listing ever starts
// at a place that this store has not named.
//
//   u8 version · position · 12 bytes of HMAC-SHA-256 over (hash of kind, scope, version and position)

import { concatBytes, fromBase64Url, toBase64Url, utf8, ByteWriter } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import { CURSOR_CHARACTERS_MAX } from '../core/limits.ts';
import { FORMAT_VERSION } from '../core/version/codec.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { ContextTokens } from '../auth/context-tokens.ts';
import type { Call } from './call.ts';

const MAC_BYTES = 12;

/** What a listing is: its kind, and everything that decides which items it has and in which order. */
export interface Listing {
  readonly kind: 'range' | 'scan' | 'dump' | 'siblings' | 'lost' | 'dead';
  readonly scope: readonly (string | Uint8Array)[];
}

export class Cursors {
  readonly #tokens: ContextTokens;
  readonly #hash: HashFunction;

  constructor(tokens: ContextTokens, hash: HashFunction) {
    this.#tokens = tokens;
    this.#hash = hash;
  }

  mint(listing: Listing, position: Uint8Array): string {
    const body = concatBytes(Uint8Array.of(FORMAT_VERSION), position);
    return toBase64Url(concatBytes(body, this.#tokens.seal(this.#digest(listing, body), MAC_BYTES)));
  }

  /** The position; undefined where the request names no cursor. @throws ArchipelError `bad-request` */
  read(call: Call, listing: Listing): Uint8Array | undefined {
    const text = call.rawQuery('cursor');
    if (text === undefined) return undefined;
    const bytes = text.length <= CURSOR_CHARACTERS_MAX ? fromBase64Url(text) : undefined;
    if (bytes === undefined || bytes.length <= MAC_BYTES || bytes[0] !== FORMAT_VERSION) throw foreign();
    const body = bytes.subarray(0, bytes.length - MAC_BYTES);
    if (!this.#tokens.isSealed(this.#digest(listing, body), bytes.subarray(body.length))) throw foreign();
    return body.subarray(1);
  }

  #digest({ kind, scope }: Listing, body: Uint8Array): Uint8Array {
    const out = new ByteWriter(256).text('cursor').text(kind);
    for (const part of scope) out.block(typeof part === 'string' ? utf8(part) : part);
    return this.#hash(out.block(body).finish());
  }
}

const foreign = (): ArchipelError => new ArchipelError('bad-request', 'The cursor is not of this listing.');
