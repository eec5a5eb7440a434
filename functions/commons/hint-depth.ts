// The queue of hints for a peer as whoever asks about replication sees it: how much waits there. Lanes, which fill and
// empty it on a machine, do not run here; `fan-out` and `forward` do that (outbox.ts).

import { ArchipelError } from '../../src/core/errors.ts';
import type { Queue } from '../../src/ports/queue.ts';
import { HINTS_PER_MESSAGE_MAX } from './messages.ts';

const notHere = (): Promise<never> => Promise.reject(new ArchipelError('internal', 'Hints are written by fan-out and taken by forward.'));

export class HintDepth implements Queue {
  readonly supports = { deduplicates: false, exactDepth: false, messageBytesMax: 0 } as const;
  readonly send = notHere;
  readonly receive = notHere;
  readonly acknowledge = notHere;
  readonly retryLater = notHere;
  readonly #queue: Queue;

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  /** Keys, at most: SQS counts messages, and some seconds late. */
  async depth(): Promise<number> {
    return HINTS_PER_MESSAGE_MAX * (await this.#queue.depth());
  }
}
