// What the stream has yet to hand over, where it has several parts: they split, end while they are looked at, and hold more than there is time for.

import type { DynamoDBRecord } from 'aws-lambda';
import { beforeEach, describe, expect, it } from 'vitest';
import { toBase64 } from '../../src/adapters/aws/base64.ts';
import { milestoneIn, type Milestones } from '../../src/adapters/aws/milestones.ts';
import { attributesOf } from '../../src/adapters/aws/item-codec.ts';
import { places } from '../../src/adapters/aws/layout.ts';
import type { From, StreamPart, TableStream } from '../../src/adapters/aws/table-stream.ts';
import { MemoryTable } from '../../src/adapters/memory/table.ts';
import { COUNT_MS_MAX, Unread } from '../../functions/commons/unread.ts';
import { HastyClock } from '../contract/emulators.ts';
import { AP, B, dot, key, keyedHash, US, written } from '../contract/make.ts';

class FakeStream implements TableStream {
  readonly all: { readonly id: string; readonly parent?: string; readonly records: DynamoDBRecord[]; isEnded: boolean; passed: number }[] = [];
  /** Called before each read. */
  before: (part: string) => void = () => undefined;
  pageMax = 1_000;
  #sequence = 0;

  add(id: string, parent?: string): this {
    this.all.push({ id, ...(parent === undefined ? {} : { parent }), records: [], isEnded: false, passed: 0 });
    for (const each of this.all) if (each.id === parent) each.isEnded = true;
    return this;
  }

  #of(id: string): (typeof this.all)[number] {
    return this.all.find((part) => part.id === id) as (typeof this.all)[number];
  }

  commit(id: string, image: object): void {
    this.#of(id).records.push({ dynamodb: { NewImage: image as NonNullable<NonNullable<DynamoDBRecord['dynamodb']>['NewImage']>, SequenceNumber: String(++this.#sequence) } });
  }

  async parts(): Promise<readonly StreamPart[]> {
    return this.all.map(({ id, parent }) => ({ id, parent, isOpen: !this.all.some((child) => child.parent === id) }));
  }

  async iterator(part: string, from: From): Promise<string> {
    const { records } = this.#of(part);
    const at = from === 'oldest' ? 0 : from === 'newest' ? records.length : records.findIndex(({ dynamodb }) => dynamodb?.SequenceNumber === from.after) + 1;
    return `${part} ${at}`;
  }

  async read(iterator: string): ReturnType<TableStream['read']> {
    const [part = '', at = ''] = iterator.split(' ');
    this.before(part);
    const { records, isEnded } = this.#of(part);
    const page = records.slice(Number(at), Number(at) + this.pageMax);
    const to = Number(at) + page.length;
    return { records: page, next: isEnded && to === records.length ? undefined : `${part} ${to}` };
  }
}

describe('unread', () => {
  let stream: FakeStream;
  let unread: Unread;
  let clock: HastyClock;
  /** In which part a slot's item lies. */
  let partOf: (slot: number) => string;
  const passed = new Map<number, string>();
  const logged: string[] = [];

  beforeEach(() => {
    stream = new FakeStream();
    clock = new HastyClock();
    passed.clear();
    logged.length = 0;
    const milestones = {
      set: async (slot: number, id: string) => stream.commit(partOf(slot), { PK: { B: toBase64(places.milestone(slot).PK.B) }, k: { S: 'l' }, m: { S: id } }),
      passed: async (slot: number) => passed.get(slot),
    } as unknown as Milestones;
    const log = { write: (_: string, event: string) => void logged.push(event) };
    unread = new Unread({ table: new MemoryTable(keyedHash), stream, milestones, clock, log, peers: [AP, US], holdersOf: () => [AP, US], policiesOf: async () => undefined });
  });

  const write = (part: string, pk: string): void => {
    const item = { ...places.record(key(pk).encoded), ...attributesOf(written(dot(B, 5), pk), 'local') };
    stream.commit(part, Object.fromEntries(Object.entries(item).map(([name, value]) => [name, value.B === undefined ? value : { B: toBase64(value.B) }])));
  };

  /** `fan-out` has done all that these parts hold. */
  const pass = (...parts: readonly string[]): void => {
    for (const { id, records } of stream.all) if (parts.includes(id)) for (const record of records) {
      const milestone = milestoneIn(record);
      if (milestone !== undefined) passed.set(milestone.slot, milestone.sequence);
    }
  };

  it('of two parts each is counted from its own milestone', async () => {
    stream.add('a').add('b');
    partOf = (slot) => (slot % 2 === 0 ? 'a' : 'b');
    write('a', 'one');
    write('b', 'two');
    expect(await unread.towards(US)).toBe(2);
    pass('a');
    expect(await unread.towards(US)).toBe(1);
    write('a', 'three');
    expect(await unread.towards(AP)).toBe(2);
    pass('a', 'b');
    expect(await unread.towards(US)).toBe(0);
    expect(logged).toEqual([]);
  });

  it('a part that split is read until one that came out of it is passed', async () => {
    stream.add('a');
    partOf = () => 'a';
    write('a', 'one');
    await unread.towards(US);
    stream.add('b', 'a').add('c', 'a');
    partOf = (slot) => (slot % 2 === 0 ? 'b' : 'c');
    write('c', 'two');
    expect(await unread.towards(US)).toBe(2);
    pass('b'); // so all of a is done
    expect(await unread.towards(US)).toBe(1);
    pass('c');
    expect(await unread.towards(US)).toBe(0);
  });

  it('a part that ends while it is looked at: what came out of it is looked at too', async () => {
    stream.add('a');
    partOf = () => stream.all.at(-1)?.id ?? '';
    let isFirst = true;
    stream.before = () => {
      if (!isFirst) return;
      isFirst = false;
      stream.all[0]?.records.splice(0); // the milestone came after the split
      stream.add('b', 'a');
      write('b', 'one');
    };
    expect(await unread.towards(US)).toBe(1);
    expect(logged).toEqual([]);
  });

  it('more than there is time for: it says so, and the next question begins behind its milestone', async () => {
    stream.add('a');
    partOf = () => 'a';
    stream.pageMax = 2;
    for (let at = 0; at < 100; at++) write('a', `item-${at}`);
    stream.before = () => void (clock.pausedMs += COUNT_MS_MAX / 3);
    expect(await unread.towards(US)).toBeLessThan(100);
    expect(logged).toEqual(['unread.not-all']);
    pass('a');
    stream.before = () => undefined;
    write('a', 'one');
    expect(await unread.towards(US)).toBe(1);
  });
});
