// The contract of the Queue and DeadLetters ports (src/ports/queue.ts), run by every adapter.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeadLetters, Queue } from '../../src/ports/queue.ts';
import { bytes } from './make.ts';
import type { Skip } from './table-suite.ts';

export interface QueueUnderTest {
  readonly queue: Queue;
  readonly letters?: DeadLetters;
  /** Time passes for the visibility of deliveries. */
  advance(ms: number): Promise<void>;
  readonly visibilityMs: number;
  reopen?(): Promise<QueueUnderTest>;
  close(): Promise<void>;
}

const text = (content: Uint8Array): string => Buffer.from(content).toString();

export function queueContract(name: string, open: () => Promise<QueueUnderTest>, skips: readonly Skip[] = []): void {
  const check = (title: string, body: () => Promise<void>): void => {
    const skip = skips.find((each) => each.name.test(title));
    if (skip === undefined) return void it(title, body);
    it.skip(`${title} (${skip.reason})`, body);
  };

  describe(`Queue: ${name}`, () => {
    let under: QueueUnderTest;
    let queue: Queue;
    beforeEach(async () => {
      under = await open();
      queue = under.queue;
    });
    afterEach(() => under.close());

    const receiveAll = async (): Promise<string[]> => {
      const found: string[] = [];
      for (;;) {
        const deliveries = await queue.receive(10);
        if (deliveries.length === 0) return found.sort();
        found.push(...deliveries.map(({ body }) => text(body)));
        await queue.acknowledge(deliveries.map(({ receipt }) => receipt));
      }
    };

    check('an empty queue delivers nothing', async () => {
      expect(await queue.receive(10)).toEqual([]);
      expect(await queue.depth()).toBe(0);
    });

    check('every message is delivered, and gone once acknowledged', async () => {
      const bodies = Array.from({ length: 25 }, (_, i) => `message ${i} \u0000\u00e9\u{1f30d}`);
      expect(await queue.send(bodies.map((body, i) => ({ body: bytes(body), key: bytes(`k${i}`) })))).toEqual({ refused: [] });
      expect(await receiveAll()).toEqual([...bodies].sort());
      await under.advance(under.visibilityMs + 1);
      expect(await queue.receive(10)).toEqual([]);
    });

    check('a delivery is hidden until its visibility ends, then delivered again and counted', async () => {
      await queue.send([{ body: bytes('x'), key: bytes('k') }]);
      const [first] = await queue.receive(1);
      expect(first?.received).toBe(1);
      expect(await queue.receive(1)).toEqual([]);
      await under.advance(under.visibilityMs + 1);
      const [second] = await queue.receive(1);
      expect(text(second?.body ?? bytes(''))).toBe('x');
      expect(second?.received).toBe(2);
    });

    check('retryLater delivers again after its delay', async () => {
      await queue.send([{ body: bytes('x'), key: bytes('k') }]);
      const [first] = await queue.receive(1);
      await queue.retryLater(first?.receipt ?? '', 0);
      await under.advance(1);
      expect(await queue.receive(1)).toHaveLength(1);
    });

    check('unknown receipts are ignored', async () => {
      await queue.send([{ body: bytes('x'), key: bytes('k') }]);
      const [delivery] = await queue.receive(1);
      await queue.acknowledge([delivery?.receipt ?? '', delivery?.receipt ?? '']);
      await queue.acknowledge([delivery?.receipt ?? '']);
      expect(await queue.receive(1)).toEqual([]);
    });

    check('bytes of every value survive', async () => {
      const body = Uint8Array.from({ length: 256 }, (_, i) => i);
      await queue.send([{ body, key: bytes('k') }]);
      expect([...((await queue.receive(1))[0]?.body ?? [])]).toEqual([...body]);
    });

    check('a message over the largest size is refused by position, the others are taken', async () => {
      const large = new Uint8Array(queue.supports.messageBytesMax + 1);
      const { refused } = await queue.send([{ body: bytes('a'), key: bytes('1') }, { body: large, key: bytes('2') }, { body: bytes('c'), key: bytes('3') }]);
      expect(refused).toEqual([1]);
      expect(await receiveAll()).toEqual(['a', 'c']);
    });

    check('a message of exactly the largest size is taken', async () => {
      const body = new Uint8Array(queue.supports.messageBytesMax).fill(7);
      expect((await queue.send([{ body, key: bytes('k') }])).refused).toEqual([]);
      expect((await queue.receive(1))[0]?.body.length).toBe(body.length);
    });

    check('messages that are large together are all taken', async () => {
      const bodies = Array.from({ length: 4 }, (_, i) => new Uint8Array(500_000).fill(i));
      expect((await queue.send(bodies.map((body, i) => ({ body, key: bytes(`k${i}`) })))).refused).toEqual([]);
      const found = await Promise.all(bodies.map(async () => (await queue.receive(1))[0]?.body[499_999]));
      expect(found.sort()).toEqual([0, 1, 2, 3]);
    });

    check('deduplication: a newer message of a key replaces an undelivered one', async () => {
      await queue.send([{ body: bytes('old'), key: bytes('k') }]);
      await queue.send([{ body: bytes('new'), key: bytes('k') }]);
      expect(await queue.depth()).toBe(1);
      expect(await receiveAll()).toEqual(['new']);
    });

    check('deduplication: acknowledging a delivery leaves a newer message of its key', async () => {
      await queue.send([{ body: bytes('old'), key: bytes('k') }]);
      const [old] = await queue.receive(1);
      await queue.send([{ body: bytes('new'), key: bytes('k') }]);
      await queue.acknowledge([old?.receipt ?? '']);
      await under.advance(under.visibilityMs + 1);
      expect(await receiveAll()).toEqual(['new']);
      expect(await queue.depth()).toBe(0);
    });

    check('deduplication: a message that came while its key was being handled is visible at once', async () => {
      await queue.send([{ body: bytes('old'), key: bytes('k') }]);
      const [old] = await queue.receive(1);
      const sending = queue.send([{ body: bytes('new'), key: bytes('k') }]);
      const early = await queue.receive(1); // perhaps before the new one is durable
      await sending;
      await queue.acknowledge([old?.receipt ?? '', ...early.map(({ receipt }) => receipt)]);
      const late = early.some(({ body }) => text(body) === 'new') ? early : await queue.receive(1);
      expect(late.map(({ body }) => text(body))).toEqual(['new']);
    });

    check('exact depth counts what is not acknowledged', async () => {
      await queue.send([{ body: bytes('a'), key: bytes('1') }, { body: bytes('b'), key: bytes('2') }]);
      expect(await queue.depth()).toBe(2);
      const [one] = await queue.receive(1);
      expect(await queue.depth()).toBe(2);
      await queue.acknowledge([one?.receipt ?? '']);
      expect(await queue.depth()).toBe(1);
    });

    check('reopen: messages are there again, delivered or not', async () => {
      await queue.send([{ body: bytes('a'), key: bytes('1') }, { body: bytes('b'), key: bytes('2') }]);
      await queue.receive(1);
      under = (await under.reopen?.()) ?? under;
      queue = under.queue;
      expect(await queue.depth()).toBe(2);
      expect(await receiveAll()).toEqual(['a', 'b']);
    });

    check('dead letters are listed with their reason until they are removed', async () => {
      const letters = under.letters as DeadLetters;
      await letters.add([{ reason: 'torn', atMs: 5, body: bytes('x') }, { reason: 'strange', atMs: 6, body: bytes('y') }]);
      const [first, second] = await letters.list(10);
      expect(first).toMatchObject({ reason: 'torn', atMs: 5 });
      expect(text(second?.body ?? bytes(''))).toBe('y');
      expect(await letters.list(10, first?.id)).toHaveLength(1);
      await letters.remove([first?.id ?? '']);
      expect(await letters.count()).toBe(1);
    });
  });
}
