// `apply`: merges what other regions have sent to this region's inbox.

import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { decodeReceipts, isFinal, unseal } from '../src/engine/envelope.ts';
import { Batches, whenOpen, type Settled } from './commons/batch.ts';
import { expanded } from '../src/adapters/aws/compressed.ts';
import { recordsOf } from './commons/messages.ts';
import { Once } from './commons/once.ts';
import { openRegion, type RegionOnLambda } from './commons/region.ts';

const opened = new Once(async () => {
  const region = await openRegion();
  return { region, batches: new Batches(region) };
});

export function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  return whenOpen(opened, event, ({ region, batches }) => region.invoke(() => batches.settle(event, (body) => merge(region, expanded(body)))));
}

/** As a region on a machine answers the question `inbox`; only nobody waits for the answer. */
async function merge({ region, mirror, log }: RegionOnLambda, question: Uint8Array): Promise<Settled> {
  const { records, keys } = recordsOf(question);
  await mirror.collectionsOf(keys);
  const { envelope, body } = unseal(await region.door.answer('inbox', question));
  const { refused } = envelope;
  if (refused !== undefined) {
    log.write('warn', 'inbox.refused', { code: refused.code });
    return 'later';
  }
  return decodeReceipts(body, records.length).every(isFinal) ? 'done' : 'later';
}
