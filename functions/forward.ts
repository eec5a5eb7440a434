// `forward`: what a peer could not be sent, it is sent now. Hints name keys: the records are read as they are now, and go
// to the peer only if it holds them now.

import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { peerOfHints } from '../src/adapters/aws/names.ts';
import { encodeState, MalformedError } from '../src/core/version/codec.ts';
import type { RegionId } from '../src/core/version/dot.ts';
import { encodeLossRow } from '../src/core/version/loss-row.ts';
import type { SentRecord } from '../src/engine/envelope.ts';
import type { Table } from '../src/ports/table.ts';
import { Batches, whenOpen, type Settled } from './commons/batch.ts';
import { decodeHints, type Hint } from './commons/messages.ts';
import { Once } from './commons/once.ts';
import { Outbox } from './commons/outbox.ts';
import { openRegion, type RegionOnLambda } from './commons/region.ts';

const opened = new Once(async () => {
  const region = await openRegion();
  return { region, batches: new Batches(region), outbox: new Outbox(region) };
});

export function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  return whenOpen(opened, event, ({ region, batches, outbox }) => {
    const { deployment, region: id } = region.settings;
    return region.invoke(() =>
      batches.settle(event, async (body, { eventSourceARN }) => {
        const peer = peerOfHints(deployment, id, eventSourceARN);
        if (peer === undefined || !region.region.links.has(peer)) throw new MalformedError('A hint for no peer of this region.');
        return forward(peer, decodeHints(body), region, outbox);
      }),
    );
  });
}

/** `later` for the whole message when any of it cannot be sent now: sending the others twice is harmless. */
async function forward(peer: RegionId, hinted: readonly Hint[], { region, mirror }: RegionOnLambda, outbox: Outbox): Promise<Settled> {
  await mirror.collectionsOf(hinted.map(({ key }) => key));
  const { catalog, parts } = region;
  if (hinted.some(({ key }) => catalog.holdersOf(key) === undefined)) return 'later'; // its policy is on its way
  const held = hinted.filter(({ key }) => catalog.holdersOf(key)?.includes(peer) === true);
  const records = await Promise.all(held.map((hint) => recordOf(hint, parts.table)));
  const left = await outbox.send(peer, records.filter((record) => record !== undefined));
  return left.length === 0 ? 'done' : 'later';
}

/** As it is now; undefined when there is none any more. */
async function recordOf({ key, loss }: Hint, table: Table): Promise<SentRecord | undefined> {
  if (loss === undefined) {
    const record = await table.get(key);
    return record === undefined ? undefined : { key: key.encoded, state: encodeState(record.state) };
  }
  const row = await table.loss(loss);
  return row === undefined ? undefined : { key: key.encoded, state: encodeLossRow(row) };
}
