// Observing over signed HTTP: what an edge and a witness have in common.

import { NodeClock } from '../adapters/node/clock.ts';
import { deriveKey, hmacSha256, nodeRandom, sha256 } from '../adapters/node/crypto.ts';
import { HttpClient } from '../adapters/node/http-client.ts';
import { HttpPeer, Nonces } from '../adapters/node/http-peer.ts';
import { Signer } from '../auth/signature.ts';
import { toHex, utf8 } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import type { RegionId } from '../core/version/dot.ts';
import { Observer, type ObserverParts } from '../engine/observer.ts';

/** With a key of its own: what an observer signs is no message of a region. */
export const observerSigner = (secret: Uint8Array): Signer => new Signer(hmacSha256(deriveKey(secret, 'observer')), sha256);

export interface ObservingOptions extends Omit<ObserverParts, 'id' | 'clock' | 'ask' | 'regions'> {
  readonly kind: 'edge' | 'witness';
  readonly secret: string;
  readonly addresses: ReadonlyMap<RegionId, string>;
  readonly ca: string | undefined;
  /** All that have an address, by default. */
  readonly regions?: () => readonly RegionId[];
}

/** A question at a time, and one that came too late. Of its own: behind a crowd of requests it would say that a region is silent. */
const SOCKETS = 2;

export interface Observing {
  readonly id: string;
  stop(): void;
}

export function startObserving({ kind, secret, addresses, ca, regions, ...parts }: ObservingOptions): Observing {
  const clock = new NodeClock();
  const id = `${kind}-${toHex(nodeRandom.bytes(6))}`;
  const signer = observerSigner(utf8(secret));
  const nonces = new Nonces(nodeRandom);
  const clients = [...addresses].map(([region, url]) => [region, new HttpClient(url, { ca, sockets: SOCKETS })] as const);
  const peers = new Map(clients.map(([region, client]) => [region, new HttpPeer(region, { self: id, client, signer, clock, nonces })]));
  const observer = new Observer({
    ...parts,
    id,
    clock,
    regions: regions ?? (() => [...peers.keys()]),
    ask: async (region, question, timeoutMs) => {
      const peer = peers.get(region);
      if (peer === undefined) throw new ArchipelError('peer-unreachable', `${region} has no address here.`);
      return peer.ask('observe', question, timeoutMs);
    },
  });
  observer.start();
  return {
    id,
    stop: () => {
      observer.stop();
      for (const [, client] of clients) client.close();
    },
  };
}
