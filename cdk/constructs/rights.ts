// Which function may do what: exact actions on exact names, nothing else. Across regions there are two kinds of right,
// to send to another region's inbox and to invoke its `peer`.

import { arns, names, type FunctionName, type Place } from '../../src/adapters/aws/names.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import type { Right } from './region-function.ts';
import type { Storage } from './storage.ts';

const READ = ['dynamodb:GetItem', 'dynamodb:Query'];
const WRITE = ['dynamodb:PutItem', 'dynamodb:DeleteItem'];
/** Of a write that a client asks for: over what is stored, without reading it. */
const WRITE_OVER = ['dynamodb:UpdateItem'];
/** The id of the table is the incarnation of the region. */
const IDENTIFY = ['dynamodb:DescribeTable'];
/** To count what the stream still holds. */
const LOOK = ['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator'];
const STREAM = ['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator', 'dynamodb:ListStreams'];
const CONSUME = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility', 'sqs:GetQueueAttributes'];
const SEND = ['sqs:SendMessage'];

export class Rights {
  readonly #storage: Storage;
  readonly #place: Place;
  readonly #region: RegionId;
  readonly #peers: readonly RegionId[];

  constructor(storage: Storage, place: Place, region: RegionId, peers: readonly RegionId[]) {
    this.#storage = storage;
    this.#place = place;
    this.#region = region;
    this.#peers = peers;
  }

  of(what: FunctionName): readonly Right[] {
    switch (what) {
      case 'api':
        return [this.#table([...IDENTIFY, ...READ, ...WRITE, ...WRITE_OVER]), this.#parameters([names.secret, names.adminKey]), this.#askPeers(), this.#askReconcile(), this.#counts(), this.#ofDead(), this.#stream(LOOK)];
      case 'peer':
        return [this.#table([...IDENTIFY, ...READ, ...WRITE, ...WRITE_OVER]), this.#parameters([names.secret, names.adminKey]), this.#askPeers()];
      case 'fan-out':
        // It notes how far it has read (src/adapters/aws/milestones.ts).
        return [this.#table([...IDENTIFY, 'dynamodb:GetItem', 'dynamodb:PutItem']), this.#stream(STREAM), this.#toInboxes(), this.#toHints(), this.#toDead()];
      case 'apply':
        return [this.#table([...IDENTIFY, ...READ, ...WRITE]), this.#fromInbox(), this.#toDead(), this.#askPeers()];
      case 'forward':
        return [this.#table([...IDENTIFY, 'dynamodb:GetItem']), this.#fromHints(), this.#toInboxes(), this.#toDead()];
      case 'reconcile':
        return [this.#table([...IDENTIFY, ...READ, ...WRITE]), this.#parameters([names.secret]), this.#askPeers()];
      case 'heartbeat':
        return [this.#table([...IDENTIFY, 'dynamodb:GetItem', 'dynamodb:PutItem']), this.#stream(LOOK), this.#counts(), this.#askPeers()];
    }
  }

  #table(actions: readonly string[]): Right {
    return { actions, resources: [this.#storage.table.tableArn] };
  }

  #stream(actions: readonly string[]): Right {
    return { actions, resources: [this.#storage.table.tableStreamArn as string] };
  }

  #parameters(wanted: readonly ((deployment: string) => string)[]): Right {
    const { deployment } = this.#place;
    return { actions: ['ssm:GetParameters'], resources: wanted.map((nameOf) => arns.parameter(this.#place, this.#region, nameOf(deployment))) };
  }

  #askPeers(): Right {
    return { actions: ['lambda:InvokeFunction'], resources: this.#peers.map((peer) => arns.function(this.#place, 'peer', peer)) };
  }

  /** A reconciliation that somebody asks for by HTTP is begun here and carried out there. */
  #askReconcile(): Right {
    return { actions: ['lambda:InvokeFunction'], resources: [arns.function(this.#place, 'reconcile', this.#region)] };
  }

  /** How much waits for each peer. */
  #counts(): Right {
    return { actions: ['sqs:GetQueueAttributes'], resources: [...this.#storage.hints.values()].map(({ queueArn }) => queueArn) };
  }

  /** They are counted, listed (received, and given back), and merged again: then they go. What still cannot be merged stays. */
  #ofDead(): Right {
    return { actions: CONSUME, resources: [this.#storage.dead.queueArn] };
  }

  #toInboxes(): Right {
    return { actions: SEND, resources: this.#peers.map((peer) => arns.queue(this.#place, peer, names.inbox(this.#place.deployment, peer))) };
  }

  #toHints(): Right {
    return { actions: SEND, resources: [...this.#storage.hints.values()].map(({ queueArn }) => queueArn) };
  }

  #toDead(): Right {
    return { actions: SEND, resources: [this.#storage.dead.queueArn] };
  }

  #fromInbox(): Right {
    return { actions: CONSUME, resources: [this.#storage.inbox.queueArn] };
  }

  #fromHints(): Right {
    return { actions: CONSUME, resources: [...this.#storage.hints.values()].map(({ queueArn }) => queueArn) };
  }
}
