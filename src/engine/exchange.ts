// A question to a peer whose answer is not waited for any longer when the task that asks has been ended.

import { ArchipelError } from '../core/errors.ts';
import type { PeerMethod } from '../ports/peer.ts';
import type { PeerLink } from './peer-link.ts';

/** As the link's `ask`. @throws ArchipelError `overloaded` when the task ends */
export function askUnlessEnded(link: PeerLink, method: PeerMethod, body: Uint8Array, timeoutMs: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const end = (): void => reject(new ArchipelError('overloaded', 'The run was ended.'));
    if (signal?.aborted === true) return end();
    signal?.addEventListener('abort', end);
    link.ask(method, body, timeoutMs).then(resolve, reject).finally(() => signal?.removeEventListener('abort', end));
  });
}
