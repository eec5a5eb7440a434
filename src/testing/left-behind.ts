// What must be in order in every region when all is quiet: digests are of the live values, and nothing waits any more.

import { deriveKey, hmacSha256 } from '../adapters/node/crypto.ts';
import { utf8 } from '../core/bytes.ts';
import { ALL_PARTITIONS, elementOf, addSums, sameSum, ZERO_SUM, type Sum } from '../core/merkle/digest.ts';
import { liveValues } from '../core/version/record.ts';
import type { Violation } from './checker.ts';
import type { SimRegion } from './cluster.ts';
import { isPoison } from './rare-faults.ts';

const LETTERS_LOOKED_AT = 1_000;
/** Trimming is durable with the next group, so a few stay. */
const LOG_ROWS_MAX = 50;

export async function leftBehind(regions: readonly SimRegion[]): Promise<Violation[]> {
  return [...(await Promise.all(regions.map(wrongDigests))), ...(await Promise.all(regions.map(waiting)))].flat();
}

async function wrongDigests({ id, running }: SimRegion): Promise<Violation[]> {
  const keyedHash = hmacSha256(deriveKey(utf8('of the simulation'), 'digest'));
  if (running === undefined) return [];
  const { digests } = running.table;
  let lineMs = await digests.sweep(digests.lineMs);
  while (digests.lineMs !== lineMs) lineMs = await digests.sweep(digests.lineMs); // a sweep of its own went on meanwhile
  const fresh = new Map<string, Sum>();
  for (const { key, record } of running.table.everything()) fresh.set(key.group, addSums(fresh.get(key.group) ?? ZERO_SUM, liveValues(record.state, lineMs).length === 0 ? ZERO_SUM : elementOf(key.encoded, record.state, lineMs, keyedHash)));
  return [...fresh].flatMap(([group, sum]) => (sameSum(digests.root(group as never, ALL_PARTITIONS), sum) ? [] : [{ rule: 'digests are of the live values', what: `${id} ${group}` }]));
}

async function waiting({ id, running }: SimRegion): Promise<Violation[]> {
  if (running === undefined) return [];
  const found: Violation[] = [];
  // Of a region that is listed no more a hint may come back with a restart, when its removal was lost with the process: one name of an item.
  for (const [peer, queue] of running.hints) if (running.region.lanes.has(peer) && (await queue.depth()) > 0) found.push({ rule: 'queues run empty', what: `${id} still has ${await queue.depth()} hints for ${peer}` });
  for (const [peer, letters] of running.letters) {
    const kept = (await letters.list(LETTERS_LOOKED_AT)).filter(({ body }) => !isPoison(body));
    if (kept.length > 0) found.push({ rule: 'nothing is undeliverable', what: `${id} has ${kept.length} dead letters of ${peer}: ${kept[0]?.reason ?? ''}` });
  }
  if (running.table.changes.size > LOG_ROWS_MAX) found.push({ rule: 'the log is trimmed', what: `${id} keeps ${running.table.changes.size} rows` });
  return found;
}
