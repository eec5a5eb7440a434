// How regions reach each other over HTTP: POST /_region/<method>, signed. (On AWS they invoke each other's functions
// instead, and this is not there.)

import { OFFSET_FIELD, SIGNATURE_FIELD, type Signature, type Signer, type Verifier } from '../auth/signature.ts';
import { isArchipelError } from '../core/errors.ts';
import { INBOX_BYTES_MAX } from '../core/limits.ts';
import { Recent } from '../core/recent.ts';
import type { PeerDoor } from '../engine/peer-door.ts';
import { PEER_METHODS, peerPath, type PeerMethod } from '../ports/peer.ts';
import { askedOf, Call } from './call.ts';
import { problemResponse, toArchipelError } from './problem.ts';
import type { App } from './router.ts';

export interface PeerRoutesParts {
  readonly door: PeerDoor;
  readonly signer: Signer;
  readonly verifier: Verifier;
  /** With keys of their own: what an edge or a witness signs is no message of a region. */
  readonly observers: { readonly signer: Signer; readonly verifier: Verifier };
  /** @throws ArchipelError `bad-request`, `forbidden` */
  readonly observe: (observer: string, question: Uint8Array) => Uint8Array;
  readonly wallMs: () => number;
  readonly region: string;
  newRequestId(): string;
}

/** Of REPORTED_REGIONS_MAX regions, with room. */
const REPORT_BYTES_MAX = 16 * 1024;
/** More than all peers together keep under way. */
const ANSWERS_KEPT = 256;
const NOBODY = { id: 'region', scopes: new Set<never>(), collections: [] };

export function addPeerRoutes(app: App, parts: PeerRoutesParts): void {
  const between = { signer: parts.signer, verifier: parts.verifier, bytesMax: INBOX_BYTES_MAX };
  for (const method of PEER_METHODS) {
    const answer: PeerRoute['answer'] = (_, body) => parts.door.answer(method, body);
    addRoute(app, parts, { ...between, method, answer: method === 'inbox' ? answeredOnce(answer) : answer });
  }
  addRoute(app, parts, { ...parts.observers, method: 'observe', bytesMax: REPORT_BYTES_MAX, answer: ({ from }, body) => parts.observe(from, body) });
}

/**
 * Gives the answer once more to a sender whose message arrived after a copy of it: it was told `replayed`, has signed the same bytes
 * anew, and wants to know. (The bytes hold the sender's time: only the same message has the same.) All of it would
 * be merged again, in vain.
 */
function answeredOnce(answer: PeerRoute['answer']): PeerRoute['answer'] {
  const kept = new Recent<string, ReturnType<PeerRoute['answer']>>(ANSWERS_KEPT);
  return (signature, body) => {
    const message = `${signature.from} ${signature.digest}`;
    const known = kept.get(message);
    if (known !== undefined) return known;
    const fresh = answer(signature, body);
    kept.set(message, fresh);
    return fresh;
  };
}

interface PeerRoute {
  readonly method: PeerMethod | 'observe';
  readonly signer: Signer;
  readonly verifier: Verifier;
  readonly bytesMax: number;
  readonly answer: (signature: Signature, body: Uint8Array) => Uint8Array | Promise<Uint8Array>;
}

function addRoute(app: App, parts: PeerRoutesParts, { method, signer, verifier, bytesMax, answer }: PeerRoute): void {
  const { wallMs, region } = parts;
  const request = { to: region, method: 'POST', path: peerPath(method) };
  app.post(request.path, async (context) => {
    try {
      const signature = verifier.admit(context.req.header(SIGNATURE_FIELD), request, wallMs());
      const body = await new Call({ asked: askedOf(context), principal: NOBODY, startedMs: 0 }).body(bytesMax);
      verifier.accept(signature, body, wallMs());
      const told = await answer(signature, body);
      return new Response(told as Uint8Array<ArrayBuffer>, { headers: { 'content-type': 'application/octet-stream', 'cache-control': 'no-store' } });
    } catch (error) {
      return problemResponse(toArchipelError(error), { instance: parts.newRequestId(), region }, clockField(error, signer, wallMs()));
    }
  });
}

/** A sender whose clock is off is told the time here, under our signature. */
function clockField(error: unknown, signer: Signer, wallMs: number): Record<string, string> {
  if (!isArchipelError(error, 'signature-expired')) return {};
  return { [OFFSET_FIELD]: signer.signClock(Math.round(wallMs), String(error.details['mac'])) };
}
