// The path as it was sent, beside the path as it arrived. A front that decodes a path, or tidies it, makes of one key another:
// `a%2Fb` becomes the pk `a` with the sk `b`, `%2541` becomes `A`. The function that gets it cannot see that. So the edge says
// in a field what it sent, a client may say so too, and what arrives otherwise is refused and never stored.

import { ArchipelError } from '../../src/core/errors.ts';

export const SENT_PATH_FIELD = 'path-as-sent';

export const pathOf = (target: string): string => target.split('?', 1)[0] ?? '';

/** @throws ArchipelError `key-invalid` */
export function assertPathAsSent(arrived: string, headers: Headers): void {
  const sent = headers.get(SENT_PATH_FIELD);
  if (sent === null || sent === arrived) return;
  throw new ArchipelError('key-invalid', `The path was changed on its way: it was sent as ${JSON.stringify(sent.slice(0, 200))}. Give such a key as ?pk=&sk= with keys=base64url.`);
}
