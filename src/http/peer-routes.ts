// How regions reach each other over HTTP: POST /_region/<method>, signed. (On AWS they invoke each other's functions
// instead, and this is not there.)

import { OFFSET_FIELD, SIGNATURE_FIELD, type Signer, type Verifier } from '../auth/signature.ts';
import { isArchipelError } from '../core/errors.ts';
import { INBOX_BYTES_MAX } from '../core/limits.ts';
import type { PeerDoor } from '../engine/peer-door.ts';
import { PEER_METHODS, peerPath } from '../ports/peer.ts';
import { askedOf, Call } from './call.ts';
import { problemResponse, toArchipelError } from './problem.ts';
import type { App } from './router.ts';

export interface PeerRoutesParts {
  readonly door: PeerDoor;
  readonly signer: Signer;
  readonly verifier: Verifier;
  readonly wallMs: () => number;
  readonly region: string;
  newRequestId(): string;
}

const NOBODY = { id: 'region', scopes: new Set<never>(), collections: [] };

export function addPeerRoutes(app: App, parts: PeerRoutesParts): void {
  for (const method of PEER_METHODS) {
    const request = { to: parts.region, method: 'POST', path: peerPath(method) };
    app.post(request.path, async (context) => {
      try {
        const signature = parts.verifier.admit(context.req.header(SIGNATURE_FIELD), request, parts.wallMs());
        const body = await new Call({ asked: askedOf(context), principal: NOBODY, startedMs: 0 }).body(INBOX_BYTES_MAX);
        parts.verifier.accept(signature, body, parts.wallMs());
        const answer = await parts.door.answer(method, body);
        return new Response(answer as Uint8Array<ArrayBuffer>, { headers: { 'content-type': 'application/octet-stream', 'cache-control': 'no-store' } });
      } catch (error) {
        return problemResponse(toArchipelError(error), { instance: parts.newRequestId(), region: parts.region }, clockField(error, parts));
      }
    });
  }
}

/** A sender whose clock is off is told the time here, under our signature. */
function clockField(error: unknown, { signer, wallMs }: PeerRoutesParts): Record<string, string> {
  if (!isArchipelError(error, 'signature-expired')) return {};
  return { [OFFSET_FIELD]: signer.signClock(Math.round(wallMs()), String(error.details['mac'])) };
}
