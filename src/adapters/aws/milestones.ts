// Milestones: items that are written into the table only to be met again in its stream. Whoever meets one has read all that was
// committed before it in that part of the stream; and `fan-out`, which is given the parts in order, notes the one that it has
// passed when everything before is in the inboxes of the peers, or hinted.
//
//   milestone/<slot>   0   k `l`, so that the stream's filter lets it pass · m S its id, another one each time
//   passed/<slot>      0   q S the sequence number, in the stream, of the one that was passed last
//
// The slots are there because a stream has parts: each slot's item lies in one of them, which shows when it is met there. Of one
// slot, sequence numbers rise in the order of the commits.

import type { DynamoDBRecord } from 'aws-lambda';
import { utf8Text } from '../../core/bytes.ts';
import { fromBase64 } from './base64.ts';
import { places, text, textIn } from './layout.ts';
import type { DynamoRequests } from './requests.ts';

/** An on-demand table begins with four parts or so; a milestone for each of forty is found among these. */
export const SLOTS = 256;

export interface Milestone {
  readonly slot: number;
  readonly id: string;
  readonly sequence: string;
}

const MILESTONE = /^milestone\/(\d+)$/;

/** Undefined: the record is of something else. */
export function milestoneIn({ dynamodb }: DynamoDBRecord): Milestone | undefined {
  const { PK, m } = dynamodb?.NewImage ?? {};
  const slot = MILESTONE.exec(utf8Text(fromBase64(PK?.B ?? '') ?? new Uint8Array(0)) ?? '')?.[1];
  return slot === undefined ? undefined : { slot: Number(slot), id: m?.S ?? '', sequence: dynamodb?.SequenceNumber ?? '' };
}

export class Milestones {
  readonly #requests: DynamoRequests;

  constructor(requests: DynamoRequests) {
    this.#requests = requests;
  }

  async set(slot: number, id: string): Promise<void> {
    await this.#requests.put({ item: { ...places.milestone(slot), k: text('l'), m: text(id) } });
  }

  async pass({ slot, sequence }: Milestone): Promise<void> {
    await this.#requests.put({ item: { ...places.passed(slot), q: text(sequence) } });
  }

  /** Undefined: none. */
  async passed(slot: number): Promise<string | undefined> {
    const item = await this.#requests.get(places.passed(slot));
    return item === undefined ? undefined : textIn(item, 'q');
  }
}

/** Of one slot, or one part of the stream. */
export const isUpTo = (sequence: string, passed: string): boolean => BigInt(sequence) <= BigInt(passed);
