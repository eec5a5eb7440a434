// `forward`: what a peer could not be sent, it is sent now. Hints name keys: the records are read as they are now, and go
// to the peer only if it holds them now.

import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { peerOfHints } from '../src/adapters/aws/names.ts';
import type { ItemKey } from '../src/core/keys/item-key.ts';
import { encodeState, MalformedError } from '../src/core/version/codec.ts';
import type { RegionId } from '../src/core/version/dot.ts';
import type { SentRecord } from '../src/engine/envelope.ts';
import { Batches, type Settled } from './commons/batch.ts';
import { decodeHints } from './commons/messages.ts';
import { Once } from './commons/once.ts';
import { Outbox } from './commons/outbox.ts';
import { openRegion, type RegionOnLambda } from './commons/region.ts';

const opened = new Once(async () => {
  const region = await openRegion();
  return { region, batches: new Batches(region), outbox: new Outbox(region) };
});

export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const { region, batches, outbox } = await opened.get();
  const { deployment, region: id } = region.settings;
  return region.invoke(() =>
    batches.settle(event, async (body, { eventSourceARN }) => {
      const peer = peerOfHints(deployment, id, eventSourceARN);
      if (peer === undefined || !region.region.links.has(peer)) throw new MalformedError('A hint for no peer of this region.');
      return forward(peer, decodeHints(body), region, outbox);
    }),
  );
}

/** `later` for the whole message when any of it cannot be sent now: sending the others twice is harmless. */
async function forward(peer: RegionId, keys: readonly ItemKey[], { region, mirror }: RegionOnLambda, outbox: Outbox): Promise<Settled> {
  await mirror.collectionsOf(keys);
  const { catalog, parts } = region;
  if (keys.some((key) => catalog.holdersOf(key) === undefined)) return 'later'; // its policy is on its way
  const held = keys.filter((key) => catalog.holdersOf(key)?.includes(peer) === true);
  const records = await Promise.all(held.map(async ({ encoded, ...key }): Promise<SentRecord[]> => {
    const record = await parts.table.get({ ...key, encoded });
    return record === undefined ? [] : [{ key: encoded, state: encodeState(record.state) }];
  }));
  const left = await outbox.send(peer, records.flat());
  return left.length === 0 ? 'done' : 'later';
}
