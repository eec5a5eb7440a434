// Another region, asked and answered. Bytes in, bytes out: what they mean is the engine's protocol; how they travel, and
// how each side knows that it is the other, is the adapter's (signed HTTP on machines, Lambda's Invoke API on AWS).
//
// Contract: `ask` resolves with the peer's answer, or throws an ArchipelError:
//  - `peer-unreachable`  nothing, or no authentic answer, in time: the outcome is unknown
//  - `peer-refused`      the peer answered that it will not; `details.reason` is its code; nothing was done
//  A question may reach the peer twice; whatever it asks for must bear that. Of `forward`, the first is over by then: what
//  the peer refuses is told to a client, who takes it for definite.

import type { RegionId } from '../core/version/dot.ts';

export type PeerMethod = 'hello' | 'inbox' | 'merge' | 'forward' | 'digest' | 'fetch' | 'lease' | 'certificate' | 'record' | 'tombstone' | 'reap' | 'raise' | 'forget' | 'lines';

export const PEER_METHODS: readonly PeerMethod[] = ['hello', 'inbox', 'merge', 'forward', 'digest', 'fetch', 'lease', 'certificate', 'record', 'tombstone', 'reap', 'raise', 'forget', 'lines'];

/** Where HTTP carries a question; `observe` is that of an observer that is no region. */
export const peerPath = (method: PeerMethod | 'observe'): string => `/_region/${method}`;

export interface Peer {
  readonly id: RegionId;
  ask(method: PeerMethod, question: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
}
