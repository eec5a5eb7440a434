import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/core/bytes.ts';
import { formatKeyBytes, formatState, formatValue } from '../../src/core/version/format.ts';
import { NO_OPERATIONS, withOperation } from '../../src/core/version/operations.ts';
import { distinctValues, EMPTY_STATE, floorOf, headDot, isExpired, largestStampOf, liveValues, sameState, type State } from '../../src/core/version/record.ts';
import { asStamp } from '../../src/core/version/stamp.ts';
import { A, B, C, deleted, dot, operation, several, value, vector, written } from '../contract/make.ts';

describe('record', () => {
  it('an expired value is absent from its millisecond on', () => {
    const state = written(dot(A, 1), 'v', [], 1_000);
    expect([999, 1_000, 1_001].map((nowMs) => liveValues(state, nowMs).length)).toEqual([1, 0, 0]);
    expect(isExpired(value('v'), Number.MAX_SAFE_INTEGER)).toBe(false);
  });

  it('the head is the largest dot of values and delete', () => {
    expect(headDot(EMPTY_STATE)).toBeUndefined();
    expect(headDot(deleted(dot(A, 3)))).toEqual(dot(A, 3));
    expect(headDot({ ...several([dot(B, 2), 'b'], [dot(A, 2), 'a']), deleted: dot(C, 1) })).toEqual(dot(B, 2));
    expect(headDot({ ...several([dot(B, 2), 'b']), deleted: dot(C, 2) })).toEqual(dot(C, 2));
  });

  it('the floor is the largest stamp anywhere', () => {
    expect(largestStampOf(EMPTY_STATE)).toBe(0n);
    expect(largestStampOf(written(dot(A, 1), 'v', [dot(C, 7)]))).toBe(7n);
    expect(largestStampOf({ ...EMPTY_STATE, values: several([dot(B, 9), 'b']).values })).toBe(9n);
    expect(largestStampOf({ ...EMPTY_STATE, deleted: dot(B, 9) })).toBe(9n);
    expect(floorOf(undefined, written(dot(A, 1), 'v'), deleted(dot(B, 4)))).toBe(4n);
    expect(floorOf(undefined)).toBe(0n);
  });

  it('equal states are equal in everything that is merged, whatever the order of a map', () => {
    const state: State = { ...several([dot(A, 1), 'a'], [dot(B, 2), 'b']), operations: withOperation(NO_OPERATIONS, { id: operation('X') }, dot(A, 1)) };
    expect(sameState(state, { ...state, context: vector(dot(B, 2), dot(A, 1)) })).toBe(true);
    const others: State[] = [
      { ...state, values: state.values.slice(1) },
      { ...state, values: several([dot(A, 1), 'a'], [dot(B, 3), 'b']).values },
      { ...state, deleted: dot(A, 1) },
      { ...state, context: vector(dot(A, 1), dot(B, 3)) },
      { ...state, operations: NO_OPERATIONS },
      { ...state, operations: { ...state.operations, evicted: asStamp(1n) } },
    ];
    for (const other of others) expect(sameState(state, other), formatState(other)).toBe(false);
    expect(sameState({ ...state, deleted: dot(A, 1) }, { ...state, deleted: dot(A, 2) })).toBe(false);
    expect(sameState({ ...state, deleted: dot(A, 1) }, { ...state, deleted: dot(A, 1) })).toBe(true);
  });

  it('distinct values show a twin whose brother is gone from the record', () => {
    const operations = withOperation(withOperation(NO_OPERATIONS, { id: operation('X') }, dot(A, 1)), { id: operation('X') }, dot(B, 2));
    expect(distinctValues({ ...several([dot(B, 2), 'x'], [dot(C, 3), 'c']), operations }, 0).map((each) => each.dot)).toEqual([dot(B, 2), dot(C, 3)]);
  });
});

describe('one line', () => {
  it('a state', () => {
    const state: State = { ...written(dot(A, 1), 'v', [dot(B, 2)], 0), operations: withOperation(NO_OPERATIONS, { id: operation('X') }, dot(A, 1)) };
    const [a, b] = [`${A}@000000000000.0001`, `${B}@000000000000.0002`];
    expect(formatState(state)).toBe(`{${a} "v" text/plain until 1970-01-01T00:00:00.000Z} ctx {${a}, ${b}} ops [${operation('X')}>${a}]`);
    expect(formatState(deleted(dot(A, 1)))).toBe(`{${a} deleted} ctx {${a}}`);
    expect(formatState(EMPTY_STATE)).toBe('{} ctx {}');
    expect(formatState({ ...EMPTY_STATE, operations: { entries: [], evicted: asStamp(1n) } })).toBe('{} ctx {} ops [] evicted 000000000000.0001');
  });

  it('a value: text where it is short text, else length and hash', () => {
    expect(formatValue(value('line\nline'))).toBe('"line\\nline" text/plain');
    expect(formatValue(value('x'.repeat(60)))).toContain('x'.repeat(60));
    expect(formatValue(value('x'.repeat(61)))).toMatch(/^61 B #[0-9a-f]{16} text\/plain$/);
    expect(formatValue({ ...value(''), bytes: Uint8Array.of(0xff) })).toMatch(/^1 B #/);
  });

  it('key bytes: text and bytes cannot be taken for each other', () => {
    expect(formatKeyBytes(utf8('caf\u00e9'))).toBe('"caf\u00e9"');
    expect(formatKeyBytes(Uint8Array.of(0xff, 0))).toBe('0xff00');
    expect(formatKeyBytes(utf8('0xff00'))).toBe('0x307866663030');
  });
});
