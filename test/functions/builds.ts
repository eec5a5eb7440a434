// Regions of two releases side by side: what one of the next sends carries the later format (src/testing/formats.ts), in
// messages, questions and answers alike.

import { fromBase64, toBase64 } from '../../src/adapters/aws/base64.ts';
import { expanded } from '../../src/adapters/aws/compressed.ts';
import type { PeerAnswer, PeerEvent } from '../../src/adapters/aws/lambda-peer.ts';
import { readMessage } from '../../src/adapters/aws/sqs-queue.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { unseal } from '../../src/engine/envelope.ts';
import { passAnswer, passQuestion, type Build } from '../../src/testing/formats.ts';

const bytesOf = (base64: string): Uint8Array => fromBase64(base64) ?? new Uint8Array(0);

export class Builds {
  readonly #next = new Set<RegionId>();
  /** A region of this release has been sent what only the next can read. */
  tooNew = 0;

  upgrade(region: RegionId): void {
    this.#next.add(region);
  }

  #of(region: RegionId): Build {
    return this.#next.has(region) ? 'next' : 'this';
  }

  /** A message of an inbox, as the region to which it was sent finds it there. */
  message(body: string, to: RegionId): string {
    const from = this.#next.size === 0 ? undefined : senderOf(body);
    if (from === undefined || this.#of(from) === 'this') return body;
    return toBase64(this.#passed(passQuestion('inbox', expanded(readMessage(body)?.body ?? new Uint8Array(0)), this.#of(from), this.#of(to))));
  }

  async ask({ method, question }: PeerEvent, to: RegionId, peer: (event: PeerEvent) => Promise<PeerAnswer>): Promise<PeerAnswer> {
    if (this.#next.size === 0) return peer({ method, question });
    const sealed = bytesOf(question);
    const [asker, asked] = [this.#of(unseal(sealed).envelope.from), this.#of(to)];
    const { answer } = await peer({ method, question: toBase64(this.#passed(passQuestion(method, sealed, asker, asked))) });
    return { answer: toBase64(this.#passed(passAnswer(method, bytesOf(answer), asked, asker))) };
  }

  #passed({ message, isTooNew }: ReturnType<typeof passQuestion>): Uint8Array {
    if (isTooNew) this.tooNew++;
    return message;
  }
}

/** Undefined for what is no message between regions. */
function senderOf(body: string): RegionId | undefined {
  try {
    return unseal(expanded(readMessage(body)?.body ?? new Uint8Array(0))).envelope.from;
  } catch {
    return undefined;
  }
}
