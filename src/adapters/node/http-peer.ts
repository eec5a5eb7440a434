// The Peer port over signed HTTP.

import { utf8Text, toHex } from '../../core/bytes.ts';
import { ArchipelError } from '../../core/errors.ts';
import type { RegionId } from '../../core/version/dot.ts';
import { macOf, OFFSET_FIELD, SIGNATURE_FIELD, type Signer } from '../../auth/signature.ts';
import type { Clock } from '../../ports/clock.ts';
import { peerPath, type Peer, type PeerMethod } from '../../ports/peer.ts';
import type { Random } from '../../ports/random.ts';
import type { HttpAnswer, HttpClient } from './http-client.ts';

/** One per process: what the nonces of all its requests begin with. */
export class Nonces {
  readonly boot: string;
  #counter = 0;

  constructor(random: Random) {
    this.boot = toHex(random.bytes(8));
  }

  next(): number {
    return ++this.#counter;
  }
}

export interface HttpPeerParts {
  /** A region, or an observer. */
  readonly self: string;
  readonly client: HttpClient;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly nonces: Nonces;
}

/** A request may be signed anew when the other clock differs, and when a copy of it arrived first. */
const SIGNATURES_MAX = 3;

export class HttpPeer implements Peer {
  readonly id: RegionId;
  readonly #parts: HttpPeerParts;
  /** The peer's wall clock minus ours, as it told us. */
  #offsetMs = 0;

  constructor(id: RegionId, parts: HttpPeerParts) {
    this.id = id;
    this.#parts = parts;
  }

  async ask(method: PeerMethod | 'observe', question: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    for (let attempt = 1; ; attempt++) {
      const { answer, signature } = await this.#send(method, question, timeoutMs);
      if (answer.status === 200) return answer.body;
      const code = problemCode(answer);
      if (attempt < SIGNATURES_MAX && code === 'replayed') continue;
      if (attempt < SIGNATURES_MAX && code === 'signature-expired' && this.#learnOffset(answer, signature)) continue;
      throw new ArchipelError(code === 'signature-invalid' || code === 'signature-expired' ? 'peer-refused' : 'peer-unreachable', `${this.id} answered ${answer.status} ${code}.`, { reason: code });
    }
  }

  async #send(method: PeerMethod | 'observe', body: Uint8Array, timeoutMs: number): Promise<{ answer: HttpAnswer; signature: string }> {
    const { self, signer, clock, nonces, client } = this.#parts;
    const path = peerPath(method);
    const signature = signer.sign({ from: self, to: this.id, method: 'POST', path, timeMs: Math.max(0, Math.round(clock.wallMs() + this.#offsetMs)), boot: nonces.boot, counter: nonces.next() }, body);
    try {
      const answer = await client.send({ method: 'POST', target: path, headers: { [SIGNATURE_FIELD]: signature, 'content-type': 'application/octet-stream' }, body, timeoutMs });
      return { answer, signature };
    } catch (error) {
      throw new ArchipelError('peer-unreachable', `${this.id} cannot be reached.`, {}, error);
    }
  }

  #learnOffset(answer: HttpAnswer, signature: string): boolean {
    const field = answer.headers[OFFSET_FIELD];
    const theirsMs = typeof field === 'string' ? this.#parts.signer.readClock(field, macOf(signature)) : undefined;
    if (theirsMs === undefined) return false;
    this.#offsetMs = theirsMs - this.#parts.clock.wallMs();
    return true;
  }
}

function problemCode(answer: HttpAnswer): string {
  try {
    const { type } = JSON.parse(utf8Text(answer.body) ?? '') as { type: string };
    return type.slice(type.lastIndexOf('/') + 1);
  } catch {
    return 'unknown';
  }
}
