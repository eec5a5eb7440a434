// `peer`: answers other regions, which invoke it by its ARN; it has no URL. That the caller may is IAM's to say.

import type { PeerAnswer, PeerEvent } from '../src/adapters/aws/lambda-peer.ts';
import { fromBase64, toBase64 } from '../src/adapters/aws/base64.ts';
import { ArchipelError } from '../src/core/errors.ts';
import { PEER_METHODS } from '../src/ports/peer.ts';
import { openApp } from './commons/app.ts';
import { keysOf } from './commons/messages.ts';
import { Once } from './commons/once.ts';

const app = new Once(openApp);

export async function handler(event: PeerEvent): Promise<PeerAnswer> {
  const { invoke, region, mirror } = await app.get();
  return invoke(async () => {
    const question = fromBase64(event.question);
    if (question === undefined || !PEER_METHODS.includes(event.method)) throw new ArchipelError('bad-request', 'Not a question between regions.');
    await mirror.collectionsOf(keysOf(event.method, question));
    return { answer: toBase64(await region.door.answer(event.method, question)) };
  }, { isGreeting: event.method === 'hello' });
}
