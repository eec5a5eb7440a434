import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { SqsDeadLetters } from '../../src/adapters/aws/sqs-dead-letters.ts';
import { SqsQueue } from '../../src/adapters/aws/sqs-queue.ts';
import type { Message } from '../../src/ports/queue.ts';
import { bytes } from '../contract/make.ts';
import { makeQueue, startFauxqs, type Emulator } from '../contract/emulators.ts';
import { queueContract } from '../contract/queue-suite.ts';

const VISIBILITY_MS = 30_000;

let sqs: Emulator<SQSClient>;
beforeAll(async () => {
  sqs = await startFauxqs();
});
afterAll(() => sqs.stop());
afterEach(() => vi.restoreAllMocks());

/** The emulator runs in this process and judges visibility by Date: moving it moves time, and nobody waits. */
function movableTime(): { readonly advance: (ms: number) => Promise<void> } {
  const now = Date.now.bind(Date);
  let aheadMs = 0;
  vi.spyOn(Date, 'now').mockImplementation(() => now() + aheadMs);
  return { advance: async (ms) => void (aheadMs += ms) };
}

queueContract(
  'sqs',
  async () => {
    const { advance } = movableTime();
    const queue = new SqsQueue({ client: sqs.client, queueUrl: await makeQueue(sqs.client, VISIBILITY_MS) });
    const letters = new SqsDeadLetters({ client: sqs.client, queueUrl: await makeQueue(sqs.client, VISIBILITY_MS) });
    return { queue, letters, advance, visibilityMs: VISIBILITY_MS, close: async () => undefined };
  },
  [
    { name: /^deduplication/, reason: 'SQS keeps every message' },
    { name: /^exact depth|^reopen/, reason: 'SQS counts approximately' },
  ],
);

describe('SqsQueue', () => {
  let queue: SqsQueue;
  let queueUrl: string;
  let time: ReturnType<typeof movableTime>;
  /** How the n-th batch ends instead of being sent: in an error, or taken but for these positions. */
  let answers: (Error | readonly number[] | undefined)[];
  let batchSizes: number[];

  beforeAll(() => {
    sqs.client.middlewareStack.add(
      (next, context) => async (args) => {
        if (context.commandName !== 'SendMessageBatchCommand') return next(args);
        batchSizes.push((args.input as { Entries: unknown[] }).Entries.length);
        const answer = answers.shift();
        if (answer instanceof Error) throw answer;
        if (answer === undefined) return next(args);
        return { response: {}, output: { $metadata: {}, Failed: answer.map((at) => ({ Id: String(at), Code: 'InternalError', SenderFault: false })) } as never };
      },
      { step: 'initialize', name: 'answers' },
    );
  });
  afterAll(() => sqs.client.middlewareStack.remove('answers'));

  beforeEach(async () => {
    time = movableTime();
    answers = [];
    batchSizes = [];
    queueUrl = await makeQueue(sqs.client, VISIBILITY_MS);
    queue = new SqsQueue({ client: sqs.client, queueUrl });
  });

  const some = (count: number): Message[] => Array.from({ length: count }, (_, i) => ({ body: bytes(`m${i}`) }));
  const broken = Object.assign(new Error('socket hang up'), { name: 'TimeoutError', code: 'ECONNRESET' });

  it('a message comes back with its key, or without one', async () => {
    await queue.send([{ body: bytes('a'), key: bytes('k') }, { body: bytes(''), key: bytes('') }, { body: bytes('b') }]);
    const found = (await queue.receive(10)).map(({ body, key }) => [Buffer.from(body).toString(), key === undefined ? undefined : Buffer.from(key).toString()]);
    expect(found.sort()).toEqual([['', ''], ['a', 'k'], ['b', undefined]]);
  });

  it('ten messages and one mebibyte to a batch', async () => {
    await queue.send(some(25));
    expect(batchSizes).toEqual([10, 10, 5]);
    batchSizes = [];
    await queue.send(Array.from({ length: 5 }, () => ({ body: new Uint8Array(300_000) })));
    expect(batchSizes).toEqual([2, 2, 1]);
  });

  it('a receive takes more than ten when asked for more', async () => {
    await queue.send(some(25));
    const found = await queue.receive(23);
    expect(found).toHaveLength(23);
    await queue.acknowledge(found.map(({ receipt }) => receipt));
    expect(await queue.depth()).toBe(2);
  });

  it('what SQS does not take is reported by position, among what is too large and what a broken batch held', async () => {
    const messages = [{ body: new Uint8Array(queue.supports.messageBytesMax + 1) }, ...some(20)];
    answers = [[3, 7], broken];
    expect(await queue.send(messages)).toEqual({ refused: [0, 3, 7, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20] });
  });

  it('when no batch was taken, send throws', async () => {
    answers = [broken];
    await expect(queue.send(some(1))).rejects.toMatchObject({ code: 'write-outcome-unknown' });
    answers = [Object.assign(new Error('slow down'), { name: 'ThrottlingException', $fault: 'client' })];
    await expect(queue.send(some(1))).rejects.toMatchObject({ code: 'overloaded' });
    answers = [Object.assign(new Error('no such queue'), { name: 'QueueDoesNotExist', $fault: 'client' })];
    await expect(queue.send(some(1))).rejects.toMatchObject({ code: 'storage-unavailable' });
  });

  it('a key over its limit is refused, the longest fits beside the largest body', async () => {
    const body = new Uint8Array(queue.supports.messageBytesMax);
    expect((await queue.send([{ body, key: new Uint8Array(1_001) }, { body, key: new Uint8Array(1_000) }])).refused).toEqual([0]);
  });

  it('a waiting receive is answered when the first message comes', async () => {
    const waiting = queue.receive(10, 5_000);
    await queue.send(some(1));
    expect(await waiting).toHaveLength(1);
  });

  it('a delay is rounded up to whole seconds: never earlier than asked', async () => {
    await queue.send(some(1));
    const [first] = await queue.receive(1);
    await queue.retryLater(first?.receipt ?? '', 1_500);
    await time.advance(1_600);
    expect(await queue.receive(1)).toEqual([]);
    await time.advance(500);
    expect(await queue.receive(1)).toHaveLength(1);
  });

  it('text that is not ours is delivered as it is', async () => {
    await sqs.client.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: '{"hello": "you"}' }));
    expect(Buffer.from((await queue.receive(1))[0]?.body ?? []).toString()).toBe('{"hello": "you"}');
  });
});
