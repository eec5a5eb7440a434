// Where this region's writes leave it: the inbox of each peer, a queue in the peer's region; and, when that does not take
// them, this region's own queue of hints for the peer. A queue, not a peer that is asked: an inbox says that it has a
// message and nothing about the other region, so nothing is concluded about its clock or its topology.

import { names, queueUrl } from '../../src/adapters/aws/names.ts';
import { SqsQueue } from '../../src/adapters/aws/sqs-queue.ts';
import { Breaker } from '../../src/core/routing/breaker.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { encodeRecords, seal, type SentRecord } from '../../src/engine/envelope.ts';
import type { PeerLink } from '../../src/engine/peer-link.ts';
import type { Queue } from '../../src/ports/queue.ts';
import { sqsClient } from './clients.ts';
import { compressed, COMPRESSION_MAX } from '../../src/adapters/aws/compressed.ts';
import { encodeHints, packed, PACKED_BYTES_MAX, packedHints } from './messages.ts';
import type { RegionOnLambda } from './region.ts';

interface Way {
  readonly link: PeerLink;
  readonly inbox: Queue;
  readonly hints: Queue;
  readonly breaker: Breaker;
}

interface Sealed {
  readonly message: readonly SentRecord[];
  readonly body: Uint8Array;
}

/** As many records to a message as fit when it is compressed; as many as fit without where that does not pay. */
export function* sealed(link: Pick<PeerLink, 'envelope'>, records: readonly SentRecord[], bytesMax = COMPRESSION_MAX * PACKED_BYTES_MAX): Generator<Sealed> {
  for (const message of packed(records, bytesMax)) {
    const plain = seal(link.envelope(), encodeRecords(message));
    const one: Sealed = { message, body: compressed(plain) };
    if (message.length === 1 || one.body.length <= PACKED_BYTES_MAX || bytesMax === PACKED_BYTES_MAX) yield one;
    // As this one was compressed, so will be its parts, or nearly.
    else yield* sealed(link, message, Math.max(PACKED_BYTES_MAX, Math.floor((NEARLY * PACKED_BYTES_MAX * plain.length) / one.body.length)));
  }
}

const NEARLY = 0.9;

export class Outbox {
  readonly #opened: RegionOnLambda;
  readonly #ways: ReadonlyMap<RegionId, Way>;

  constructor(opened: RegionOnLambda) {
    this.#opened = opened;
    const { settings, region } = opened;
    const { deployment, region: id } = settings;
    const here = sqsClient(id);
    const way = (peer: RegionId, link: PeerLink): Way => ({
      link,
      inbox: new SqsQueue({ client: sqsClient(peer), queueUrl: queueUrl(settings, peer, names.inbox(deployment, peer)) }),
      hints: new SqsQueue({ client: here, queueUrl: queueUrl(settings, id, names.hints(deployment, id, peer)) }),
      breaker: new Breaker(),
    });
    this.#ways = new Map([...region.links].map(([peer, link]) => [peer, way(peer, link)]));
  }

  #way(peer: RegionId): Way {
    const way = this.#ways.get(peer);
    if (way === undefined) throw new TypeError(`${peer} is not a peer of this region.`);
    return way;
  }

  /** Sends the records to the peer's inbox. Answers those that it has not taken, or may not have: all, while replication with it is paused. */
  async send(peer: RegionId, records: readonly SentRecord[]): Promise<readonly SentRecord[]> {
    const { link, inbox, breaker } = this.#way(peer);
    const nowMs = this.#opened.clock.monotonicMs();
    if (records.length === 0 || this.#opened.region.lanes.get(peer)?.isPaused === true) return records;
    if (!breaker.allows(nowMs)) return this.#refused(peer, records);
    const sent = [...sealed(link, records)];
    const messages = sent.map(({ message }) => message);
    try {
      const { refused } = await inbox.send(sent);
      if (refused.length < messages.length) breaker.succeed(nowMs);
      else breaker.fail(nowMs);
      return refused.length === 0 ? [] : this.#refused(peer, refused.flatMap((at) => messages[at] ?? []));
    } catch (error) {
      breaker.fail(nowMs);
      this.#opened.log.write('warn', 'inbox.unreachable', { peer, error: String(error) });
      return this.#refused(peer, records);
    }
  }

  #refused(peer: RegionId, records: readonly SentRecord[]): readonly SentRecord[] {
    this.#opened.metrics.peer(peer, { InboxRefused: 1 });
    return records;
  }

  /** @throws Error when a hint is not durable: then nobody else knows that the peer lacks the record */
  async hint(peer: RegionId, hints: readonly SentRecord[]): Promise<void> {
    if (hints.length === 0) return;
    const { refused } = await this.#way(peer).hints.send(packedHints(hints).map((message) => ({ body: encodeHints(message) })));
    if (refused.length > 0) throw new Error(`The queue of hints for ${peer} did not take ${refused.length} messages.`);
  }
}
