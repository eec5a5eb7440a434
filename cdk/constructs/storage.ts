// What a region keeps: its table with the stream, its inbox, its dead letters, and a queue of hints for each peer.

import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, Billing, StreamViewType, TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import { Queue, QueueEncryption, type QueueProps } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { TTL_ATTRIBUTE } from '../../src/adapters/aws/layout.ts';
import { names } from '../../src/adapters/aws/names.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import type { Deployment } from '../deployment.ts';

/** Functions that take from queues may run this long; a message stays hidden six times as long, as Lambda asks. */
export const CONSUMER_TIMEOUT = Duration.seconds(30);
const VISIBILITY = Duration.seconds(6 * CONSUMER_TIMEOUT.toSeconds());
/** The most that SQS keeps: a queue holds what still has to be done, and forgetting it sooner would save nothing. */
const WAITING = Duration.days(14);

/**
 * The most that SQS counts. `apply` and `forward` set poison aside by themselves, with its reason; the count catches what
 * ends the function each time, and must not catch what waits for a clock, an upgrade or a region: a quarter of an hour
 * between two deliveries makes ten days of it.
 */
const RECEIVES_MAX = 1_000;

export interface StorageProps {
  readonly deployment: Deployment;
  readonly region: RegionId;
  readonly peers: readonly RegionId[];
}

export class Storage extends Construct {
  readonly table: TableV2;
  readonly inbox: Queue;
  readonly dead: Queue;
  readonly hints: ReadonlyMap<RegionId, Queue>;

  constructor(scope: Construct, { deployment: { name, ephemeral, retention }, region, peers }: StorageProps) {
    super(scope, 'Storage');
    this.table = new TableV2(this, 'Table', {
      tableName: names.table(name, region),
      partitionKey: { name: 'PK', type: AttributeType.BINARY },
      sortKey: { name: 'SK', type: AttributeType.BINARY },
      billing: Billing.onDemand(),
      timeToLiveAttribute: TTL_ATTRIBUTE,
      // A state says by itself what it supersedes: the image before it would be paid for and thrown away.
      dynamoStream: StreamViewType.NEW_IMAGE,
      pointInTimeRecoverySpecification: ephemeral ? { pointInTimeRecoveryEnabled: false } : { pointInTimeRecoveryEnabled: true, recoveryPeriodInDays: retention.recoveryDays },
      deletionProtection: !ephemeral,
      removalPolicy: ephemeral ? RemovalPolicy.DESTROY : RemovalPolicy.RETAIN,
    });
    this.dead = this.#queue('Dead', names.dead(name, region));
    const deadLetterQueue = { queue: this.dead, maxReceiveCount: RECEIVES_MAX };
    this.inbox = this.#queue('Inbox', names.inbox(name, region), { deadLetterQueue });
    this.hints = new Map(peers.map((peer) => [peer, this.#queue(`Hints-${peer}`, names.hints(name, region, peer), { deadLetterQueue })]));
  }

  #queue(id: string, queueName: string, more: Partial<QueueProps> = {}): Queue {
    return new Queue(this, id, { queueName, visibilityTimeout: VISIBILITY, retentionPeriod: WAITING, encryption: QueueEncryption.SQS_MANAGED, enforceSSL: true, ...more });
  }
}
