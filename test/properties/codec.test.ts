import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeState, encodeState, FORMAT_VERSION, MalformedError, NewerFormatError } from '../../src/core/version/codec.ts';
import type { State } from '../../src/core/version/record.ts';
import { sameState } from '../../src/core/version/record.ts';
import { anyState } from './arbitraries.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** What decoding does with bytes that may be anything: a state, or one of the two errors that its callers know. */
function judge(bytes: Uint8Array): State | 'malformed' | 'newer' {
  try {
    return decodeState(bytes);
  } catch (error) {
    if (error instanceof MalformedError) return 'malformed';
    if (error instanceof NewerFormatError) return 'newer';
    throw error;
  }
}

describe('codec', () => {
  it('what is encoded is read again', () => {
    fc.assert(
      fc.property(anyState, (state) => {
        const read = decodeState(encodeState(state));
        expect(read).toEqual(state);
        expect(sameState(read, state)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('equal states have equal bytes, in whatever order their maps were filled', () => {
    fc.assert(
      fc.property(anyState, fc.nat(), (state, turn) => {
        const entries = [...state.context];
        const at = turn % (entries.length || 1);
        const turned: State = { ...state, context: new Map([...entries.slice(at), ...entries.slice(0, at)].reverse()) };
        expect(hex(encodeState(turned))).toBe(hex(encodeState(state)));
        expect(hex(encodeState(decodeState(encodeState(state))))).toBe(hex(encodeState(state)));
      }),
      { numRuns: 300 },
    );
  });

  it('different states have different bytes', () => {
    fc.assert(
      fc.property(anyState, anyState, (a, b) => {
        if (hex(encodeState(a)) === hex(encodeState(b))) expect(a).toEqual(b);
      }),
      { numRuns: 300 },
    );
  });

  it('cut off at any byte, or followed by another, it is malformed and never half read', () => {
    fc.assert(
      fc.property(anyState, (state) => {
        const bytes = encodeState(state);
        for (let length = 0; length < bytes.length; length++) expect(judge(bytes.subarray(0, length)), `${length} of ${bytes.length}`).toBe('malformed');
        expect(judge(Uint8Array.of(...bytes, 0))).toBe('malformed');
      }),
      { numRuns: 60 },
    );
  });

  it('with bytes changed it is a state, malformed or newer, and nothing else happens', () => {
    const change = fc.record({ at: fc.nat(), to: fc.nat(255) });
    fc.assert(
      fc.property(anyState, fc.array(change, { minLength: 1, maxLength: 4 }), (state, changes) => {
        const bytes = encodeState(state);
        for (const { at, to } of changes) bytes[at % bytes.length] = to;
        const read = judge(bytes);
        // What is read as a state is one: it can be stored and sent again.
        if (typeof read === 'object') expect(decodeState(encodeState(read))).toEqual(read);
      }),
      { numRuns: 3_000 },
    );
  });

  it('random bytes are malformed or newer', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const read = judge(bytes);
        if ((bytes[0] ?? 0) > FORMAT_VERSION) expect(read).toBe('newer');
      }),
      { numRuns: 1_000 },
    );
  });

  it('views into a larger buffer are read as well', () => {
    fc.assert(
      fc.property(anyState, fc.nat(20), (state, before) => {
        const bytes = encodeState(state);
        const buffer = new Uint8Array(before + bytes.length + 5);
        buffer.set(bytes, before);
        expect(decodeState(buffer.subarray(before, before + bytes.length))).toEqual(state);
      }),
      { numRuns: 100 },
    );
  });
});
