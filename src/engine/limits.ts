// The limits that a simulation makes small, because it could not fill them otherwise.

import { HINTS_PER_PEER_MAX, INBOX_RECORDS_MAX } from '../core/limits.ts';

export const LIMITS = { hintsPerPeer: HINTS_PER_PEER_MAX, inboxRecords: INBOX_RECORDS_MAX } as const;

export type Limits = { readonly [name in keyof typeof LIMITS]: number };
