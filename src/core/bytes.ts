// Bytes: comparing, joining, reading and writing. Pure TypeScript, because core may not know that it runs on Node.

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const EMPTY: Uint8Array = new Uint8Array(0);

/** Up to this many characters a loop over ASCII is faster than the encoder, whose call alone costs as much as fifty of them. */
const SHORT_CHARACTERS = 64;

export function utf8(text: string): Uint8Array {
  if (text.length > SHORT_CHARACTERS) return encoder.encode(text);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return encoder.encode(text);
    bytes[i] = code;
  }
  return bytes;
}

/** The text of these bytes, or undefined where they are not UTF-8: replacement characters would merge different keys. */
export function utf8Text(bytes: Uint8Array): string | undefined {
  if (bytes.length <= SHORT_BYTES && isAscii(bytes)) return keyText(bytes);
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The same for the decoder: names and stamps, not values. */
const SHORT_BYTES = 24;

function isAscii(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] as number) > 0x7f) return false;
  return true;
}

/** Unsigned byte order, the order of LevelDB and DynamoDB. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** For secrets: the time depends on the lengths only. */
export function sameInConstantTime(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Four bytes as an unsigned number, most significant first: without a view. */
export const word = (bytes: Uint8Array, at: number): number => (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0;

/** The smallest byte string above all that begin with `prefix`; undefined when there is none (all 0xff). */
export function afterPrefix(prefix: Uint8Array): Uint8Array | undefined {
  for (let i = prefix.length - 1; i >= 0; i--) {
    const byte = prefix[i] as number;
    if (byte < 0xff) {
      const end = new Uint8Array(prefix.subarray(0, i + 1)); // slice would, of Node's Buffer, be the same bytes
      end[i] = byte + 1;
      return end;
    }
  }
  return undefined;
}

/** Bytes as text of as many characters, for use as a key of a Map. At most some thousand bytes. */
export const keyText = (bytes: Uint8Array): string => String.fromCharCode.apply(undefined, bytes as unknown as number[]);

export function textKey(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX[byte] as string;
  return text;
}

/** Undefined when the text is not an even number of hexadecimal digits. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    const value = (hexDigit(text.charCodeAt(2 * i)) << 4) | hexDigit(text.charCodeAt(2 * i + 1));
    if (value < 0) return undefined;
    bytes[i] = value;
  }
  return bytes;
}

/** Negative for what is none. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = (code | 0x20) - 0x61;
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const BASE64URL_CODES = Uint8Array.from(BASE64URL, (character) => character.charCodeAt(0));
const BASE64URL_VALUE = new Map([...BASE64URL].map((character, value) => [character, value]));

/** RFC 4648 section 5, without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  const length = Math.ceil((bytes.length * 4) / 3);
  const codes = length <= SCRATCH.length ? SCRATCH : new Uint8Array(length + 3);
  let at = 0;
  for (let i = 0; i < bytes.length; i += 3) {
    const triple = ((bytes[i] as number) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    codes[at++] = BASE64URL_CODES[triple >> 18] as number;
    codes[at++] = BASE64URL_CODES[(triple >> 12) & 63] as number;
    codes[at++] = BASE64URL_CODES[(triple >> 6) & 63] as number;
    codes[at++] = BASE64URL_CODES[triple & 63] as number;
  }
  return strictDecoder.decode(codes.subarray(0, length)); // what lies behind stands for bytes that are not there
}

/** An array of more than 64 bytes lies outside of the heap, and costs more than what is written into it. */
const SCRATCH = new Uint8Array(512);

/** Strict: no padding, no other alphabet, no stray bits, so that one byte string has one text. Undefined otherwise. */
export function fromBase64Url(text: string): Uint8Array | undefined {
  const rest = text.length % 4;
  if (rest === 1) return undefined;
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let count = 0;
  let at = 0;
  for (const character of text) {
    const value = BASE64URL_VALUE.get(character);
    if (value === undefined) return undefined;
    bits = ((bits << 6) | value) & 0xffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes[at++] = (bits >> count) & 0xff;
    }
  }
  return (bits & ((1 << count) - 1)) === 0 ? bytes : undefined;
}

const VIEWS_KEPT = 256;

/** Grows as it is written; one per codec, reused, so that encoding a record allocates only its result. */
export class ByteWriter {
  #bytes: Uint8Array;
  /** Made when a number of several bytes comes: most of what is written has none, and small arrays have no buffer until one asks. */
  #numbers: DataView | undefined;
  #length = 0;
  /** By length: a view costs as much as a short hash, and the same few are asked for. */
  #views: Uint8Array[] = [];

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
  }

  get #view(): DataView {
    return (this.#numbers ??= new DataView(this.#bytes.buffer));
  }

  reset(): this {
    this.#length = 0;
    return this;
  }

  #reserve(more: number): number {
    const at = this.#length;
    const need = at + more;
    if (need > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(need, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#numbers = undefined;
      this.#views = [];
    }
    this.#length = need;
    return at;
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
    return this;
  }

  u16(value: number): this {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value);
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value);
    return this;
  }

  u64(value: bigint): this {
    const at = this.#reserve(8);
    this.#view.setBigUint64(at, value);
    return this;
  }

  /** A non-negative integer below 2^53, seven bits a byte, least significant first. */
  varint(value: number): this {
    let rest = value;
    while (rest >= 0x80) {
      this.u8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    return this.u8(rest);
  }

  bytes(value: Uint8Array): this {
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** Length first, then the bytes. */
  block(value: Uint8Array): this {
    return this.varint(value.length).bytes(value);
  }

  text(value: string): this {
    if (value.length >= 0x80) return this.block(encoder.encode(value));
    const before = this.#length;
    const at = this.#reserve(1 + value.length);
    this.#bytes[at] = value.length;
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) {
        this.#length = before;
        return this.block(encoder.encode(value));
      }
      this.#bytes[at + 1 + i] = code;
    }
    return this;
  }

  get length(): number {
    return this.#length;
  }

  /** A copy of what was written; the writer may be reset and used again. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** What was written, without a copy where it fills the capacity: of a writer that is not used again. */
  done(): Uint8Array {
    return this.#length === this.#bytes.length ? this.#bytes : this.finish();
  }

  /** What was written, until the writer is used again: for a hash or a look-up that is done with it at once. */
  view(): Uint8Array {
    const length = this.#length;
    if (length >= VIEWS_KEPT) return this.#bytes.subarray(0, length);
    return (this.#views[length] ??= this.#bytes.subarray(0, length));
  }
}

const PIECE_BYTES = 64 * 1024;

/**
 * Copies of bytes that live about as long as each other, cut from one piece: an array of its own costs more than copying a
 * kilobyte into it. Whoever keeps one keeps the piece.
 */
export class Slab {
  #piece = new Uint8Array(0);
  #used = 0;

  copyOf(bytes: Uint8Array): Uint8Array {
    const { length } = bytes;
    if (length > this.#piece.length - this.#used) {
      if (length > PIECE_BYTES / 8) return new Uint8Array(bytes);
      this.#piece = new Uint8Array(PIECE_BYTES);
      this.#used = 0;
    }
    const copy = new Uint8Array(this.#piece.buffer, this.#used, length);
    copy.set(bytes);
    this.#used += length;
    return copy;
  }
}

/** Reads what ByteWriter wrote. Throws RangeError past the end, so that a torn input is never half understood. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #numbers: DataView | undefined;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get #view(): DataView {
    return (this.#numbers ??= new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength));
  }

  get offset(): number {
    return this.#at;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  #take(length: number): number {
    const at = this.#at;
    if (length > this.#bytes.length - at) throw new RangeError('Input ends too early.');
    this.#at = at + length;
    return at;
  }

  u8(): number {
    return this.#bytes[this.#take(1)] as number;
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8));
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      scale *= 0x80;
    }
    throw new RangeError('Number too large.');
  }

  /** A view into the input, not a copy. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  block(): Uint8Array {
    return this.bytes(this.varint());
  }

  text(): string {
    const text = utf8Text(this.block());
    if (text === undefined) throw new RangeError('Text is not UTF-8.');
    return text;
  }
}
