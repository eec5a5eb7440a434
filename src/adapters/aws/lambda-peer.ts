// The Peer port over Lambda's Invoke API: another region's function `peer`, named by its ARN and called with the rights
// of the calling function's role. IAM says who asks; nothing else is signed.
//
//   event {"method": "merge", "question": "<base64>"}   answer {"answer": "<base64>"}
//
// Questions still under way when the answer to a client is complete are given up (`abandon`): in a frozen environment
// they would be finished at some later time, or never. A peer that did what was asked has done it all the same.

import { InvokeCommand, type LambdaClient } from '@aws-sdk/client-lambda';
import { utf8, utf8Text } from '../../core/bytes.ts';
import { ArchipelError } from '../../core/errors.ts';
import type { RegionId } from '../../core/version/dot.ts';
import type { Peer, PeerMethod } from '../../ports/peer.ts';
import { fromBase64, toBase64 } from './base64.ts';

export interface PeerEvent {
  readonly method: PeerMethod;
  readonly question: string;
}

export interface PeerAnswer {
  readonly answer: string;
}

export interface LambdaPeerParts {
  /** Of the peer's region, made with CLIENT_SETTINGS. */
  readonly client: LambdaClient;
  readonly functionArn: string;
}

export class LambdaPeer implements Peer {
  readonly id: RegionId;
  readonly #parts: LambdaPeerParts;
  #giveUp = new AbortController();

  constructor(id: RegionId, parts: LambdaPeerParts) {
    this.id = id;
    this.#parts = parts;
  }

  async ask(method: PeerMethod, question: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const event: PeerEvent = { method, question: toBase64(question) };
    const { signal: givenUp } = this.#giveUp;
    const command = new InvokeCommand({ FunctionName: this.#parts.functionArn, Payload: utf8(JSON.stringify(event)) });
    try {
      const { Payload, FunctionError } = await this.#parts.client.send(command, { abortSignal: AbortSignal.any([givenUp, AbortSignal.timeout(timeoutMs)]) });
      const answer = FunctionError === undefined && Payload !== undefined ? answerIn(Payload) : undefined;
      if (answer === undefined) throw new Error(`The function failed: ${FunctionError ?? 'no answer'}.`);
      return answer;
    } catch (error) {
      // Nobody waits for it, and it says nothing about the peer: it must not open a breaker.
      if (givenUp.aborted) throw new ArchipelError('peer-refused', `${this.id} was not waited for.`, { reason: 'abandoned' }, error);
      throw new ArchipelError('peer-unreachable', `${this.id} gave no answer.`, {}, error);
    }
  }

  /** Ends what is still being asked. */
  abandon(): void {
    this.#giveUp.abort();
    this.#giveUp = new AbortController();
  }
}

function answerIn(payload: Uint8Array): Uint8Array | undefined {
  const { answer } = JSON.parse(utf8Text(payload) ?? '') as Partial<PeerAnswer>;
  return typeof answer === 'string' ? fromBase64(answer) : undefined;
}
