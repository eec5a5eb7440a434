// The Peer port over Lambda's Invoke API: another region's function `peer`, named by its ARN and called with the rights
// of the calling function's role. IAM says who asks; nothing else is signed.
//
//   event {"method": "merge", "question": "<base64>"}   answer {"answer": "<base64>"}
//
// Questions still under way when the answer to a client is complete are given up (`abandon`): in a frozen environment
// they would be finished at some later time, or never. A peer that did what was asked has done it all the same.

import { utf8, utf8Text } from '../../core/bytes.ts';
import { ArchipelError } from '../../core/errors.ts';
import type { RegionId } from '../../core/version/dot.ts';
import type { Peer, PeerMethod } from '../../ports/peer.ts';
import { fromBase64, toBase64 } from './base64.ts';
import { errorIn, type ServiceAnswer, type SignedCalls } from './signed-calls.ts';

export interface PeerEvent {
  readonly method: PeerMethod;
  readonly question: string;
}

export interface PeerAnswer {
  readonly answer: string;
}

export interface LambdaPeerParts {
  /** Of the peer's region. */
  readonly lambda: SignedCalls;
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
    const { lambda, functionArn } = this.#parts;
    try {
      const answer = answerIn(await invoke(lambda, functionArn, event, AbortSignal.any([givenUp, AbortSignal.timeout(timeoutMs)])));
      if (answer === undefined) throw new Error('The function answers nothing.');
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

/** Waits for what the function answers. @throws Error with what Lambda or the function failed with */
async function invoke(lambda: SignedCalls, name: string, event: object, signal: AbortSignal): Promise<Uint8Array> {
  const answer = await call(lambda, { name, event, signal, type: 'RequestResponse' });
  const failure = answer.headers['x-amz-function-error'];
  if (answer.status !== 200 || failure !== undefined) throw new Error(`The function failed: ${failure ?? errorIn(answer)}.`);
  return answer.body;
}

/** Begins it, and waits for nothing. @throws Error when Lambda did not take the event */
export async function invokeLater(lambda: SignedCalls, name: string, event: object): Promise<void> {
  const answer = await call(lambda, { name, event, type: 'Event' });
  if (answer.status !== 202) throw new Error(`Lambda did not take the event: ${errorIn(answer)}.`);
}

interface Invocation {
  /** Or the ARN. */
  readonly name: string;
  readonly event: object;
  readonly signal?: AbortSignal;
  readonly type: 'RequestResponse' | 'Event';
}

const call = (lambda: SignedCalls, { name, event, type, ...deadline }: Invocation): Promise<ServiceAnswer> =>
  lambda.post({ path: `/2015-03-31/functions/${encodeURIComponent(name)}/invocations`, headers: { 'content-type': 'application/json', 'x-amz-invocation-type': type }, body: utf8(JSON.stringify(event)), ...deadline });

function answerIn(payload: Uint8Array): Uint8Array | undefined {
  const { answer } = JSON.parse(utf8Text(payload) ?? '') as Partial<PeerAnswer>;
  return typeof answer === 'string' ? fromBase64(answer) : undefined;
}
