// States as attributes of an item: what the table's layout can say, and what it leaves to the blob.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { actorName, actorNamed, readActor, writeActor } from '../../src/adapters/aws/actors.ts';
import { attributesOf, recordOf } from '../../src/adapters/aws/item-codec.ts';
import { binary, whole, type Item } from '../../src/adapters/aws/layout.ts';
import { KNOWN_REGIONS } from '../../src/config/places.ts';
import { ByteReader, ByteWriter } from '../../src/core/bytes.ts';
import { encodeState, FORMAT_VERSION, MalformedError, NewerFormatError } from '../../src/core/version/codec.ts';
import { formatState } from '../../src/core/version/format.ts';
import { OPERATIONS_MAX } from '../../src/core/limits.ts';
import { asRegionId, compareDots, makeActor, type Dot } from '../../src/core/version/dot.ts';
import { withOperation, NO_OPERATIONS, type Operations } from '../../src/core/version/operations.ts';
import type { State } from '../../src/core/version/record.ts';
import { asStamp, STAMP_ZERO } from '../../src/core/version/stamp.ts';
import { A, B, C, EU, deleted, dot, operation, several, value, vector, written } from '../contract/make.ts';

const item = (state: State): Item => ({ ...attributesOf(state, 'local'), n: whole(7) });
/** Our letters, then the actors. */
const names = (state: State): string => {
  const all = Object.keys(attributesOf(state, 'local')).sort();
  const actors = all.filter((name) => name.length > 1);
  return [all.filter((name) => name.length === 1).join(''), ...actors].join(' ');
};

describe('records as items', () => {
  it('one whole write lies in attributes of its own, anything else in one blob', () => {
    const json = { ...value('{}'), contentType: 'application/json' };
    const real = makeActor(EU, '0123456ff');
    expect(names({ ...written(dot(A, 5), ''), values: [{ dot: dot(A, 5), value: json }] })).toBe('hkqv ~ap-northeast-2~a1');
    expect(names(written(dot(real, 5), 'text', [dot(B, 3)], 9_000))).toBe(`hkqtvx ${actorName(real)} ~eu-central-1~b1`);
    expect(names(deleted(dot(A, 5)))).toBe('hk ~ap-northeast-2~a1');
    expect(names(several([dot(A, 1), 'x'], [dot(B, 2), 'y']))).toBe('ks');
    expect(names({ values: [], context: vector(dot(A, 1)), operations: NO_OPERATIONS })).toBe('ks');
    expect(names({ ...written(dot(A, 5), 'x'), context: vector(dot(A, 6)) })).toBe('ks');
    expect(names({ ...written(dot(A, 5), 'x'), deleted: dot(B, 1) })).toBe('ks');
    expect(names({ ...written(dot(A, 5), 'x'), context: new Map([[A, asStamp(5n)], [B, STAMP_ZERO]]) })).toBe('ks');
  });

  it('who wrote it is the one whose stamp is the largest: a state in which another is as large lies in a blob', () => {
    expect(names(written(dot(A, 5), 'x', [dot(B, 5)]))).toBe('ks');
    expect(names(written(dot(A, 5), 'x', [dot(B, 6)]))).toBe('ks');
    expect(names({ ...written(dot(A, 5), 'x'), operations: { entries: [], evicted: asStamp(5n) } })).toBe('ks');
  });

  it('operations are a list of ids and dots, newest first', () => {
    const own = withOperation(NO_OPERATIONS, { id: operation('X'), payload: '00000000000000aa' }, dot(A, 5));
    expect(names({ ...written(dot(A, 5), 'x'), operations: own })).toBe('hkopqtv ~ap-northeast-2~a1');
    const foreign: Operations = { entries: [{ id: operation('X'), dot: dot(A, 5) }, { id: operation('Y'), dot: dot(C, 4) }], evicted: asStamp(2n) };
    const state = { ...written(dot(A, 5), 'x'), operations: foreign };
    expect(names(state)).toBe('ehkoqtv ~ap-northeast-2~a1');
    expect(recordOf(item(state)).state.context).toEqual(vector(dot(A, 5)));
    expect(recordOf(item(state)).state.operations).toEqual(foreign);
  });

  it('an actor of a region of AWS is named by seven characters, any other by its text, and never as an attribute of ours', () => {
    const regions = fc.constantFrom(...KNOWN_REGIONS, asRegionId('eu'), asRegionId('pk'));
    const incarnations = fc.oneof(fc.stringMatching(/^[0-9a-f]{9}$/), fc.stringMatching(/^[0-9a-z]{1,12}$/), fc.constantFrom('000000000', 'fffffffff'));
    fc.assert(
      fc.property(regions, incarnations, (region, incarnation) => {
        const actor = makeActor(region, incarnation);
        const isShort = KNOWN_REGIONS.includes(region) && /^[0-9a-f]{9}$/.test(incarnation);
        expect(actorName(actor)).toHaveLength(isShort ? 7 : actor.length + 1);
        expect(actorNamed(actorName(actor))).toBe(actor);
        const bytes = writeActor(new ByteWriter(), actor).finish();
        expect(bytes).toHaveLength(isShort ? 6 : actor.length + 2);
        expect(readActor(new ByteReader(bytes))).toBe(actor);
      }),
    );
    for (const name of ['PK', 'SK', 'h', 'AAAAAA', 'AAAAAAAA', '~', '~nobody', '9AAAAAA']) expect(actorNamed(name)).toBeUndefined();
    expect(actorName(makeActor(EU, '0123456ff'))).toBe('IASNFb_');
  });

  it('every state comes back as it was', () => {
    const stamp = fc.bigInt({ min: 1n, max: (1n << 64n) - 1n }).map(asStamp);
    const dots = fc.record({ actor: fc.constantFrom(A, B, C), stamp });
    const content = fc.record({ bytes: fc.uint8Array({ maxLength: 40 }), contentType: fc.constantFrom('application/json', 'text/plain', 'image/x-é'), hash: fc.uint8Array({ minLength: 8, maxLength: 8 }), expiresMs: fc.option(fc.nat(), { nil: undefined }) });
    const entries = fc.uniqueArray(fc.record({ id: fc.nat(20).map((n) => operation(String(n))), dot: dots }), { maxLength: OPERATIONS_MAX, selector: ({ dot: { actor, stamp: at } }) => `${actor}${at}` });
    const plain = fc.record({ head: fc.oneof(dots, dots.map(({ actor }) => ({ actor, stamp: asStamp((1n << 64n) - 1n) }))), past: fc.array(dots), content, isDelete: fc.boolean(), entries, evicted: fc.oneof(fc.constant(STAMP_ZERO), stamp), kind: fc.constantFrom('local' as const, 'applied' as const), revision: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) });
    fc.assert(
      fc.property(plain, ({ head, past, content: { expiresMs, ...rest }, isDelete, entries: operations, evicted, kind, revision }) => {
        const held = { dot: head, value: expiresMs === undefined ? rest : { ...rest, expiresMs } };
        const isWhole = [...vector(...past, head)].every(([actor, at]) => actor === head.actor || at < head.stamp) && operations.every((each) => each.dot.stamp <= head.stamp) && evicted < head.stamp && head.stamp > STAMP_ZERO;
        const state: State = {
          values: isDelete ? [] : [held],
          ...(isDelete ? { deleted: head } : {}),
          context: vector(...past, head),
          operations: { entries: [...operations].sort((a: { dot: Dot }, b: { dot: Dot }) => compareDots(b.dot, a.dot)), evicted },
        };
        const attributes = attributesOf(state, kind);
        const back = recordOf({ ...attributes, n: whole(revision) });
        expect(Object.hasOwn(attributes, 's')).toBe(!isWhole);
        expect(encodeState(back.state)).toEqual(encodeState(state));
        expect(back).toMatchObject({ kind, revision });
      }),
    );
  });

  it('a blob of a later format is neither read nor guessed at', () => {
    const later = encodeState(several([dot(A, 1), 'x'], [dot(B, 2), 'y']));
    later[0] = FORMAT_VERSION + 1;
    expect(() => recordOf({ ...item(deleted(dot(A, 1))), s: binary(later) })).toThrow(NewerFormatError);
  });

  it('an item that is no record is malformed', () => {
    const whole5 = item(written(dot(A, 5), 'x'));
    const without = (name: string): Item => Object.fromEntries(Object.entries(whole5).filter(([each]) => each !== name));
    for (const name of ['k', 'h', 'q', '~ap-northeast-2~a1']) expect(() => recordOf(without(name))).toThrow(MalformedError);
    expect(recordOf(without('n')).revision).toBe(1);
    expect(() => recordOf({ ...whole5, h: { N: '5' } })).toThrow(MalformedError);
    expect(() => recordOf({ ...whole5, n: { S: '5' } })).toThrow(MalformedError);
    expect(() => recordOf({ ...whole5, '~eu-central-1~b1': whole5['h'] as Item[string] })).toThrow(MalformedError);
    expect(() => recordOf({ ...whole5, e: binary(new Uint8Array(3)) })).toThrow(MalformedError);
    expect(() => recordOf({ ...whole5, o: { L: [binary(new Uint8Array(8))] } })).toThrow(MalformedError);
    expect(() => recordOf({ ...whole5, o: { L: [binary(new Uint8Array(8)), binary(new Uint8Array(9).fill(125))] } })).toThrow(MalformedError);
    expect(formatState(recordOf(whole5).state)).toContain('"x"');
  });
});
