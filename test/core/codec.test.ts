import { describe, expect, it } from 'vitest';
import { ACTORS_PER_RECORD_MAX, VALUE_BYTES_HARD_MAX } from '../../src/core/limits.ts';
import { decodeState, encodeState, FORMAT_VERSION, formatVersionOf, MalformedError, NewerFormatError } from '../../src/core/version/codec.ts';
import { makeActor } from '../../src/core/version/dot.ts';
import { NO_OPERATIONS, withOperation } from '../../src/core/version/operations.ts';
import { EMPTY_STATE, type State } from '../../src/core/version/record.ts';
import { asStamp } from '../../src/core/version/stamp.ts';
import { A, B, deleted, dot, EU, operation, several, value, vector, written } from '../contract/make.ts';

/** With hashes that are plain bytes, as they are read. */
const plain = (state: State): State => ({ ...state, values: state.values.map(({ dot: at, value: held }) => ({ dot: at, value: { ...held, hash: Uint8Array.from(held.hash) } })) });
const hex = (state: State): string => Buffer.from(encodeState(state)).toString('hex');
const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));

describe('codec', () => {
  // A change here is a change of what is stored and sent: then FORMAT_VERSION must change too.
  it('version 1, byte by byte', () => {
    const state: State = { ...written(dot(B, 5), 'v', [dot(A, 3)], 0x1234), operations: { ...withOperation(NO_OPERATIONS, { id: operation('X'), payload: operation('p') }, dot(B, 5)), evicted: asStamp(2n) } };
    const text = (actor: string): string => `${actor.length.toString(16).padStart(2, '0')} ${Buffer.from(actor).toString('hex')}`;
    const expected = [
      '01 06', // version; operations, payload
      `02 ${text(A)} ${text(B)}`, // actors
      '02 00 0000000000000003 01 0000000000000005', // context
      `01 ${operation('X')} 01 0000000000000005 ${operation('p')} 0000000000000002`, // one operation, its payload, evicted
      `01 01 0000000000000005 01 b424 03 ${Buffer.from(value('v').hash).toString('hex')} 01 76`, // one value: dot, flags, expiry, text/plain, hash, bytes
    ];
    expect(hex(state)).toBe(expected.join('').replaceAll(' ', ''));
    expect(decodeState(fromHex(hex(state)))).toEqual(plain(state));
  });

  it.each([
    ['nothing', EMPTY_STATE, '01 00 00 00 00'],
    ['only what was evicted', { ...EMPTY_STATE, operations: { entries: [], evicted: asStamp(1n) } }, '01 02 00 00 00 0000000000000001 00'],
  ])('%s', (_, state, expected) => {
    expect(hex(state)).toBe(expected.replaceAll(' ', ''));
    expect(decodeState(encodeState(state))).toEqual(plain(state));
  });

  it.each([
    ['a delete', deleted(dot(A, 1), [dot(B, 9)])],
    ['siblings', several([dot(A, 1), 'a'], [dot(A, 2), 'b'], [dot(B, 2), 'c'])],
    ['an empty value', written(dot(A, 1), '')],
    ['the largest stamp', written({ actor: A, stamp: asStamp(2n ** 64n - 1n) }, 'v')],
    ['the largest expiry', written(dot(A, 1), 'v', [], Number.MAX_SAFE_INTEGER)],
    ['an uncommon content type', { ...EMPTY_STATE, values: [{ dot: dot(A, 1), value: { ...value('v'), contentType: 'application/vnd.example+json; charset=utf-8' } }] }],
    ['no content type', { ...EMPTY_STATE, values: [{ dot: dot(A, 1), value: { ...value('v'), contentType: '' } }] }],
  ])('%s is read again', (_, state: State) => {
    expect(decodeState(encodeState(state))).toEqual(plain(state));
  });

  it('the largest value is read again', () => {
    const bytes = new Uint8Array(VALUE_BYTES_HARD_MAX).fill(7);
    const read = decodeState(encodeState({ ...EMPTY_STATE, values: [{ dot: dot(A, 1), value: { ...value('v'), bytes } }] }));
    expect(Buffer.compare(read.values[0]?.value.bytes as Uint8Array, bytes)).toBe(0);
  });

  it('a newer version is told by its first byte, before anything else is understood', () => {
    const bytes = Uint8Array.of(FORMAT_VERSION + 1, 0xff);
    expect(formatVersionOf(bytes)).toBe(FORMAT_VERSION + 1);
    expect(() => decodeState(bytes)).toThrow(NewerFormatError);
    expect(() => decodeState(Uint8Array.of(255))).toThrow(expect.objectContaining({ version: 255 }));
  });

  it.each([
    ['nothing at all', ''],
    ['version 0', '00 00 00 00 00'],
    ['a flag of later', '01 08 00 00 00'],
    ['a payload without an operation', '01 06 00 00 00 0000000000000000 00'],
    ['a payload flag without operations: bytes left over', '01 04 00 00 0000000000000000 00'],
    ['text that is no actor', '01 00 01 02 4121 00 00'],
    ['an actor that is not UTF-8', '01 00 01 02 c328 00 00'],
    ['an unknown actor', '01 00 00 01 00 0000000000000001 00'],
    ['an unknown content type', `01 00 01 04 617e3162 00 01 00 0000000000000001 00 7f ${'00'.repeat(8)} 00`],
    ['an unknown flag of a value', `01 00 01 04 617e3162 00 01 00 0000000000000001 02 01 ${'00'.repeat(8)} 00`],
    ['a value longer than the input', `01 00 01 04 617e3162 00 01 00 0000000000000001 00 01 ${'00'.repeat(8)} ff01 00`],
    ['a length above 2^53', `01 00 01 04 617e3162 00 01 00 0000000000000001 00 01 ${'00'.repeat(8)} ffffffffffffffff`],
  ])('%s is malformed', (_, bytes) => {
    expect(() => decodeState(fromHex(bytes))).toThrow(MalformedError);
  });

  it('refuses to write what could not be read again', () => {
    const manyActors = (count: number): State => ({ ...EMPTY_STATE, context: vector(...Array.from({ length: count }, (_, i) => dot(makeActor(EU, `a${i}`), 1))) });
    expect(decodeState(encodeState(manyActors(ACTORS_PER_RECORD_MAX))).context.size).toBe(255);
    expect(() => encodeState(manyActors(ACTORS_PER_RECORD_MAX + 1))).toThrow('Invariant broken');
    const manyValues = (count: number): State => several(...Array.from({ length: count }, (_, i) => [dot(A, i + 1), `${i}`] as const));
    expect(decodeState(encodeState(manyValues(255))).values.length).toBe(255);
    expect(() => encodeState(manyValues(256))).toThrow('Invariant broken');
    for (const expiresMs of [-1, 1.5, Number.NaN, 2 ** 53]) expect(() => encodeState(written(dot(A, 1), 'v', [], expiresMs)), `${expiresMs}`).toThrow('Invariant broken');
    expect(() => encodeState({ ...EMPTY_STATE, values: [{ dot: dot(A, 1), value: { ...value('v'), hash: new Uint8Array(7) } }] })).toThrow('Invariant broken');
    const next = written(dot(A, 1), 'the next one is not harmed');
    expect(decodeState(encodeState(next))).toEqual(plain(next));
  });
});
