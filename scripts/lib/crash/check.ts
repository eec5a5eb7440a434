// What must be true of a copy of a data folder that a crash could have left. Opens it as a start does and believes nothing
// but the rows and the notes of what was acknowledged:
//
//   1  everything acknowledged is there
//   2  a commit is whole: record, ledger row, rows of the indexes, entry of the change log, or none of them
//   3  digests, counts and largest stamps, brought up to date by the opening, equal what the records say
//   4  the store takes writes

import { LevelQueue } from '../../../src/adapters/level/queue.ts';
import { decodeLogRow, decodeRecord, readU48, RECORD_PREFIX_BYTES, rows, type StoredRecord } from '../../../src/adapters/level/layout.ts';
import type { Database } from '../../../src/adapters/level/database.ts';
import { LevelStore } from '../../../src/adapters/level/store.ts';
import { LevelTable } from '../../../src/adapters/level/table.ts';
import { NodeClock } from '../../../src/adapters/node/clock.ts';
import { afterPrefix, ByteReader, utf8, utf8Text } from '../../../src/core/bytes.ts';
import { decodeKey, partitionOf, type ItemKey } from '../../../src/core/keys/item-key.ts';
import { PARTITIONS } from '../../../src/core/limits.ts';
import { addSums, elementOf, isZeroSum, sameSum, ZERO_SUM, type Sum } from '../../../src/core/merkle/digest.ts';
import { headDot } from '../../../src/core/version/record.ts';
import { SILENT } from '../../../src/ports/log.ts';
import type { LossRow } from '../../../src/ports/table.ts';
import { ACTOR, afterOf, COLLECTION, digestHash, DOCUMENT, GROUP, ITEMS, keyOf, nameOf, QUEUE } from './items.ts';

interface Found {
  readonly key: ItemKey;
  readonly name: string;
  readonly record: StoredRecord;
}

/** What was promised before the copy, line by line. */
export interface Promised {
  /** Numbers by item. */
  readonly stored: ReadonlyMap<string, ReadonlySet<number>>;
  readonly late: ReadonlyMap<string, ReadonlySet<number>>;
  readonly sent: ReadonlySet<string>;
  /** Whose deletion was asked for, and whose was acknowledged. */
  readonly taking: ReadonlySet<string>;
  readonly taken: ReadonlySet<string>;
  readonly document: number;
  /** Bytes that a sync covers, by file of the journal, in the use of it that bears this number. */
  readonly synced: ReadonlyMap<string, { readonly number: number; readonly bytes: number }>;
  readonly count: number;
}

export function readNotes(text: string): Promised {
  const [stored, late, synced] = [new Map<string, Set<number>>(), new Map<string, Set<number>>(), new Map<string, { number: number; bytes: number }>()];
  const [sent, taking, taken] = [new Set<string>(), new Set<string>(), new Set<string>()];
  let document = 0;
  let count = 0;
  for (const line of text.split('\n').slice(0, -1)) {
    const [what, first = '', second = ''] = line.split(' ');
    if (what === 'stored' || what === 'late') {
      const numbers = what === 'stored' ? stored : late;
      numbers.set(first, (numbers.get(first) ?? new Set()).add(Number(second)));
    } else if (what === 'synced') {
      const [number = 0, bytes = 0] = second.split(':').map(Number);
      // Of two syncs that are under way the one that was begun first may end last, and covers less.
      const before = synced.get(first);
      synced.set(first, { number, bytes: before?.number === number ? Math.max(before.bytes, bytes) : bytes });
    }
    else if (what === 'document') document = Number(first);
    else ({ sent, taking, taken })[what as 'sent']?.add(first);
    if (what !== 'synced' && what !== 'taking') count++;
  }
  return { stored, late, sent, taking, taken, document, synced, count };
}

/** Every sentence is something wrong. */
export async function wrongIn(folder: string, promised: Promised, isOtherBoot: boolean): Promise<string[]> {
  const clock = new NodeClock();
  const store = await LevelStore.open({ folder, durability: 'relaxed', clock, log: SILENT, ...(isOtherBoot ? { bootId: 'another' } : {}) });
  try {
    const table = await LevelTable.open(store, digestHash);
    const queue = await LevelQueue.open(store, clock, QUEUE);
    const found = await recordsOf(store.database);
    const losses = new Map<string, readonly LossRow[]>();
    for (let at = 0; at < ITEMS; at++) losses.set(nameOf(at), await table.lossesOf(keyOf(nameOf(at))));
    const wrong = [
      ...missing(found, losses, promised),
      ...(await missingElsewhere(table, queue, promised)),
      ...found.flatMap((each) => brokenChain(each, losses.get(each.name) ?? [])),
      ...(await wrongIndexes(store.database, table, found, losses)),
      ...(await wrongLog(store.database, found)),
      ...wrongDigests(table, found),
      ...wrongStamps(table, found, losses),
    ];
    if (!(await table.putDocument('after', utf8('taken'), undefined))) wrong.push('a document is not taken after the start');
    return wrong;
  } finally {
    await store.close();
  }
}

async function recordsOf(database: Database): Promise<Found[]> {
  const found: Found[] = [];
  for await (const [row, value] of database.iterator(within('r'))) {
    const key = decodeKey(row.subarray(RECORD_PREFIX_BYTES)) as ItemKey;
    found.push({ key, name: utf8Text(key.pk) as string, record: decodeRecord(value) });
  }
  return found;
}

const within = (letter: Parameters<typeof rows.all>[0]): { gte: Uint8Array; lt: Uint8Array } => ({ gte: rows.all(letter), lt: afterPrefix(rows.all(letter)) as Uint8Array });

// 1 -----------------------------------------------------------------------------------------------------------------------------

function missing(found: readonly Found[], losses: ReadonlyMap<string, readonly LossRow[]>, { stored, late }: Promised): string[] {
  const records = new Map(found.map(({ name, record }) => [name, record]));
  const has = (name: string, number: number, isLate: boolean): boolean =>
    (losses.get(name) ?? []).some(({ dot }) => (dot.actor === ACTOR) !== isLate && Number(dot.stamp) === number) || (!isLate && records.get(name)?.state.values.some(({ dot }) => Number(dot.stamp) === number) === true);
  const lacking = (numbers: Promised['stored'], isLate: boolean): string[] =>
    [...numbers].flatMap(([name, all]) => [...all].filter((number) => !has(name, number, isLate)).map((number) => `${name}: ${number} was acknowledged and is not there`));
  return [...lacking(stored, false), ...lacking(late, true)];
}

async function missingElsewhere(table: LevelTable, queue: LevelQueue, { document, sent, taking, taken }: Promised): Promise<string[]> {
  const wrong: string[] = [];
  const stored = await table.document(DOCUMENT);
  if ((stored?.revision ?? 0) < document) wrong.push(`the document is at revision ${stored?.revision ?? 0}, but ${document} was acknowledged`);
  if (stored !== undefined && utf8Text(stored.bytes) !== `revision ${stored.revision}`) wrong.push(`the document of revision ${stored.revision} holds ${utf8Text(stored.bytes) ?? 'something else'}`);
  for (const number of sent) if (!taking.has(number) && !queue.has(utf8(number))) wrong.push(`message ${number} was taken and is not there`);
  for (const number of taken) if (queue.has(utf8(number))) wrong.push(`message ${number} was acknowledged and is there again`);
  return wrong;
}

// 2 -----------------------------------------------------------------------------------------------------------------------------

/** The head says what it replaced, and so does each loser: together every commit that the record's revision counts. */
function brokenChain({ name, record }: Found, losses: readonly LossRow[]): string[] {
  const chain = losses.filter(({ dot }) => dot.actor === ACTOR);
  const head = record.state.values.find(({ dot }) => dot.stamp === headDot(record.state)?.stamp);
  if (head === undefined) return [`${name} has no value`];
  const links = [...chain.map(({ dot, value }) => ({ dot, value })), head];
  const wrong: string[] = [];
  let before = 0;
  for (const { dot, value } of links) {
    const after = value === undefined ? undefined : afterOf(name, dot, value);
    if (after === undefined) wrong.push(`${name} ${dot.stamp} is not what was written`);
    else if (after !== before) wrong.push(`${name} ${dot.stamp} replaced ${after}, but before it stands ${before}`);
    before = Number(dot.stamp);
  }
  if (links.length !== record.revision) wrong.push(`${name} had ${record.revision} commits, of which ${links.length} are accounted for`);
  return wrong;
}

async function wrongIndexes(database: Database, table: LevelTable, found: readonly Found[], losses: ReadonlyMap<string, readonly LossRow[]>): Promise<string[]> {
  const wrong: string[] = [];
  const same = (what: string, indexed: readonly string[], held: readonly string[]): void => {
    const [left, right] = [indexed.toSorted().join(' '), held.toSorted().join(' ')];
    if (left !== right) wrong.push(`${what}: the index has ${left}, the records ${right}`);
  };
  const siblings = await table.siblings(COLLECTION, 1_000_000);
  same('siblings', siblings.items.map(({ pk }) => utf8Text(pk) as string), found.filter(({ record }) => record.state.values.length > 1).map(({ name }) => name));
  const expiring = await database.keys(within('e')).all();
  same('expiry', expiring.map((row) => utf8Text(decodeKey(row.subarray(1 + 6))?.pk ?? row) as string), found.filter(({ record }) => record.state.values[0]?.value.expiresMs !== undefined && !isZeroSum(record.element)).map(({ name }) => name));
  const ids = [...losses.values()].flat().map(({ id }) => id);
  const byTime = await table.losses({ collection: COLLECTION, limit: 1_000_000 });
  same('losses by time', byTime.items.map(({ id }) => id), ids);
  const byId = await database.keys(within('z')).all();
  same('losses by id', byId.map((row) => utf8Text(row.subarray(1)) as string), ids);
  const summaries = await database.keys(within('x')).all();
  const withLosses = [...losses.values()].filter(({ length }) => length > 0);
  if (summaries.length !== withLosses.length) wrong.push(`${summaries.length} items have a summary of losers, ${withLosses.length} have losers`);
  return wrong;
}

async function wrongLog(database: Database, found: readonly Found[]): Promise<string[]> {
  const wrong: string[] = [];
  const records = new Map(found.map(({ name, record }) => [name, record]));
  const commits = new Map<string, number>();
  let first: number | undefined;
  let last: number | undefined;
  for await (const [row, value] of database.iterator(within('l'))) {
    const position = readU48(new ByteReader(row, 1));
    if (last !== undefined && position !== last + 1) wrong.push(`the change log goes from ${last} to ${position}`);
    first ??= position;
    last = position;
    for (const { key, kind } of decodeLogRow(value).changes) {
      const name = utf8Text(decodeKey(key)?.pk ?? key) as string;
      if (!records.has(name)) wrong.push(`entry ${position} of the change log names ${name}, which is not there`);
      if (kind !== 'swept') commits.set(name, (commits.get(name) ?? 0) + 1);
    }
  }
  for (const { name, record } of found) {
    const logged = commits.get(name) ?? 0;
    // Rows behind the reader are deleted in some runs; with the first of all there, all must be.
    if (first === 1 ? logged !== record.revision : logged > record.revision) wrong.push(`${name} had ${record.revision} commits, and the change log tells of ${logged}`);
  }
  return wrong;
}

// 3 -----------------------------------------------------------------------------------------------------------------------------

function wrongDigests(table: LevelTable, found: readonly Found[]): string[] {
  const wrong: string[] = [];
  const sums = new Map<number, Sum>();
  for (const { name, key, record } of found) {
    const partition = partitionOf(key.encoded);
    sums.set(partition, addSums(sums.get(partition) ?? ZERO_SUM, record.element));
    const isExpiring = record.state.values.some(({ value }) => value.expiresMs !== undefined);
    if (!sameSum(record.element, elementOf(key.encoded, record.state, 0, digestHash)) && !(isExpiring && isZeroSum(record.element))) wrong.push(`${name} adds to the digest what it does not hold`);
  }
  for (let partition = 0; partition < PARTITIONS; partition++) {
    if (!sameSum(table.digests.partition(GROUP, partition), sums.get(partition) ?? ZERO_SUM)) wrong.push(`the digest of partition ${partition} is not that of its records`);
  }
  const live = found.filter(({ record }) => !isZeroSum(record.element)).length;
  if (table.digests.items(COLLECTION) !== live) wrong.push(`${table.digests.items(COLLECTION)} items are counted, ${live} are there`);
  return wrong;
}

function wrongStamps(table: LevelTable, found: readonly Found[], losses: ReadonlyMap<string, readonly LossRow[]>): string[] {
  const largest = new Map<string, bigint>();
  const note = (actor: string, stamp: bigint): void => void largest.set(actor, stamp > (largest.get(actor) ?? 0n) ? stamp : (largest.get(actor) ?? 0n));
  for (const { record } of found) for (const [actor, stamp] of record.state.context) note(actor, stamp);
  for (const { dot } of [...losses.values()].flat()) note(dot.actor, dot.stamp);
  const kept = table.largestStamps();
  return [...largest].filter(([actor, stamp]) => kept.get(actor as typeof ACTOR) !== stamp).map(([actor, stamp]) => `the largest stamp of ${actor} is ${stamp}, but ${kept.get(actor as typeof ACTOR)} is kept`);
}
