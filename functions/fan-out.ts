// `fan-out`: sends this region's writes, as the table's stream tells of them, to the regions that hold them. It throws
// when a record is neither in a peer's inbox nor hinted, and then all of the batch comes again; sending twice is harmless,
// so this is right with partial batch responses and without. It never fails for content: what it cannot read is hinted.

import type { DynamoDBStreamEvent } from 'aws-lambda';
import { milestoneIn } from '../src/adapters/aws/milestones.ts';
import { isReadable, streamEntry, type StreamEntry } from '../src/adapters/aws/stream-entries.ts';
import { keyText } from '../src/core/bytes.ts';
import type { RegionId } from '../src/core/version/dot.ts';
import { decodeLossRow, isLossRow, lossName } from '../src/core/version/loss-row.ts';
import type { SentRecord } from '../src/engine/envelope.ts';
import { hintOf, lossHintOf } from './commons/messages.ts';
import { Once } from './commons/once.ts';
import { Outbox } from './commons/outbox.ts';
import { openRegion, type RegionOnLambda } from './commons/region.ts';

const opened = new Once(async () => {
  const region = await openRegion();
  return { region, outbox: new Outbox(region) };
});

export async function handler(event: DynamoDBStreamEvent): Promise<void> {
  const { region, outbox } = await opened.get();
  await region.invoke(async () => {
    const entries = newestByKey(entriesOf(event, region));
    await region.mirror.collectionsOf(entries.map(({ key }) => key));
    const peers = [...region.region.links.keys()];
    const sent = await Promise.allSettled(peers.map((peer) => sendTo(peer, entries, region, outbox)));
    const failed = sent.find((each) => each.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    await passMilestones(event, region);
  });
}

/** All before them is in the inboxes, or hinted. One that is not noted is no reason to send everything again: others follow. */
async function passMilestones({ Records }: DynamoDBStreamEvent, { milestones, log }: RegionOnLambda): Promise<void> {
  const newest = new Map(Records.flatMap((record) => milestoneIn(record) ?? []).map((milestone) => [milestone.slot, milestone]));
  try {
    await Promise.all([...newest.values()].map((milestone) => milestones.pass(milestone)));
  } catch (error) {
    log.write('warn', 'milestone.not-noted', { error: String(error) });
  }
}

function entriesOf({ Records }: DynamoDBStreamEvent, { log }: RegionOnLambda): StreamEntry[] {
  return Records.flatMap((record, position) => {
    try {
      return streamEntry(record, position) ?? [];
    } catch (error) {
      log.write('error', 'stream.not-a-record', { sequenceNumber: record.dynamodb?.SequenceNumber, error: String(error) });
      return []; // under no key of ours: there is nothing that could be sent, or hinted
    }
  });
}

/** Filter first, coalesce then: the entry says what its commit was, whatever was committed since. */
function newestByKey(entries: readonly StreamEntry[]): StreamEntry[] {
  const own = entries.filter((entry) => !isReadable(entry) || entry.kind === 'local');
  return [...new Map(own.map((entry) => [nameOf(entry), entry])).values()];
}

const nameOf = (entry: StreamEntry): string => (entry.loss === undefined ? keyText(entry.key.encoded) : lossName(entry.loss));

/** Of what may have been sent, or not, or cannot be. */
function hintFor({ key, state }: SentRecord): SentRecord {
  return isLossRow(state) ? lossHintOf(key, decodeLossRow(state).id) : hintOf(key);
}

async function sendTo(peer: RegionId, entries: readonly StreamEntry[], { region }: RegionOnLambda, outbox: Outbox): Promise<void> {
  const records: SentRecord[] = [];
  const hints: SentRecord[] = [];
  for (const entry of entries) {
    const { key } = entry;
    const holders = region.catalog.holdersOf(key);
    if (holders?.includes(peer) === false) continue;
    // Placement is asked again when a hint is forwarded: one too many is harmless.
    const record = isReadable(entry) && entry.image !== undefined ? { key: key.encoded, state: entry.image } : undefined;
    if (record !== undefined && holders !== undefined) records.push(record);
    else if (record !== undefined || !isReadable(entry)) hints.push(record === undefined ? hintOf(key.encoded) : hintFor(record));
  }
  const left = await outbox.send(peer, records);
  await outbox.hint(peer, [...hints, ...left.map(hintFor)]);
}
