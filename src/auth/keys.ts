// Bearer keys: `ak_<id>_<secret>`. Only the hash of the secret is stored, as an item of the replicated system collection
// `_keys`, so that a key made in one region opens every region and a revocation reaches them all. The ring is a mirror in
// memory; what it says about a header is remembered until any key changes.

import { sameInConstantTime, toBase64Url, toHex, utf8, utf8Text } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import { isSystemCollection } from '../core/keys/item-key.ts';
import type { State } from '../core/version/record.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { Random } from '../ports/random.ts';

export type Scope = 'read' | 'write' | 'admin';

export const SCOPES: readonly Scope[] = ['read', 'write', 'admin'];

/** As stored under the key's id. */
export interface KeyRecord {
  readonly hash: string;
  readonly scopes: readonly Scope[];
  /** Names, or beginnings of names that end in `*`. */
  readonly collections: readonly string[];
  /** The pk must begin with one of these. Absent: any. */
  readonly prefixes?: readonly string[];
  readonly expiresMs?: number;
  readonly createdMs: number;
}

export interface Principal {
  readonly id: string;
  readonly scopes: ReadonlySet<Scope>;
  readonly collections: readonly string[];
  readonly prefixes?: readonly string[];
  readonly expiresMs?: number;
}

export const ANYBODY: Principal = { id: 'no-auth', scopes: new Set(SCOPES), collections: ['*'] };

const REMEMBERED_MAX = 10_000;
/** Longer than any field with a key: not worth a place in memory. */
const REMEMBERED_CHARACTERS_MAX = 200;
const KEY = /^ak_([a-z0-9]{1,32})_([A-Za-z0-9_-]{20,86})$/;

export interface NewKey {
  readonly id: string;
  readonly key: string;
  readonly hash: string;
}

export function newKey(random: Random, hash: HashFunction, id = toHex(random.bytes(6))): NewKey {
  const secret = toBase64Url(random.bytes(24));
  return { id, key: `ak_${id}_${secret}`, hash: toHex(hash(utf8(secret))) };
}

export class KeyRing {
  readonly #hash: HashFunction;
  readonly #records = new Map<string, KeyRecord>();
  readonly #remembered = new Map<string, Principal | undefined>();
  readonly #admin: { readonly id: string; readonly hash: string } | undefined;

  /** `adminKey`: given to the process, good for everything, not in any collection. */
  constructor(hash: HashFunction, adminKey?: string) {
    this.#hash = hash;
    const match = adminKey === undefined ? null : KEY.exec(adminKey);
    if (adminKey !== undefined && match === null) throw new TypeError('The admin key is not of the form ak_<id>_<secret>.');
    this.#admin = match === null ? undefined : { id: match[1] as string, hash: toHex(hash(utf8(match[2] as string))) };
  }

  /** A state of `_keys` was committed here. */
  learn(id: string, state: State): void {
    const [value] = state.values;
    const record = value === undefined ? undefined : parseKeyRecord(value.value.bytes);
    if (record === undefined) this.#records.delete(id);
    else this.#records.set(id, record);
    this.#remembered.clear();
  }

  list(): readonly (Omit<KeyRecord, 'hash'> & { readonly id: string })[] {
    return [...this.#records].map(([id, { hash: _hash, ...record }]) => ({ id, ...record })).sort((a, b) => a.createdMs - b.createdMs);
  }

  /** It was given to the process, and lies in no collection. */
  isGiven(id: string): boolean {
    return this.#admin?.id === id;
  }

  has(id: string): boolean {
    return this.#records.has(id);
  }

  /** Who sent this `Authorization` field. @throws ArchipelError `unauthenticated` */
  identify(authorization: string | undefined, nowMs: number): Principal {
    if (authorization === undefined) throw unauthenticated('Send a key as Authorization: Bearer ak_…');
    let principal = this.#remembered.get(authorization);
    if (principal === undefined && !this.#remembered.has(authorization) && authorization.length <= REMEMBERED_CHARACTERS_MAX) {
      principal = this.#look(authorization);
      if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
      this.#remembered.set(authorization, principal);
    }
    if (principal === undefined) throw unauthenticated('The key is not known, or was revoked.');
    if (principal.expiresMs !== undefined && principal.expiresMs <= nowMs) throw unauthenticated('The key has expired.');
    return principal;
  }

  #look(authorization: string): Principal | undefined {
    const [scheme = '', token = '', ...rest] = authorization.split(' ');
    const match = scheme.toLowerCase() === 'bearer' && rest.length === 0 ? KEY.exec(token) : null;
    if (match === null) return undefined;
    const id = match[1] as string;
    const hash = toHex(this.#hash(utf8(match[2] as string)));
    if (this.#admin !== undefined && id === this.#admin.id) return sameInConstantTime(hash, this.#admin.hash) ? { ...ANYBODY, id } : undefined;
    const record = this.#records.get(id);
    if (record === undefined || !sameInConstantTime(hash, record.hash)) return undefined;
    const { scopes, collections, prefixes, expiresMs } = record;
    return { id, scopes: new Set(scopes), collections, ...(prefixes === undefined ? {} : { prefixes }), ...(expiresMs === undefined ? {} : { expiresMs }) };
  }
}

const unauthenticated = (message: string): ArchipelError => new ArchipelError('unauthenticated', message);

/** What cannot be understood opens nothing. */
function parseKeyRecord(bytes: Uint8Array): KeyRecord | undefined {
  try {
    const record = JSON.parse(utf8Text(bytes) ?? '') as KeyRecord;
    const { hash, scopes, collections, prefixes = [] } = record;
    return typeof hash === 'string' && [scopes, collections, prefixes].every(Array.isArray) ? record : undefined;
  } catch {
    return undefined;
  }
}

/** @throws ArchipelError `forbidden` */
export function requireScope(principal: Principal, scope: Scope): void {
  if (!principal.scopes.has(scope)) throw new ArchipelError('forbidden', `The key has no ${scope} scope.`);
}

export const mayUseCollection = (principal: Principal, collection: string): boolean =>
  !isSystemCollection(collection) && principal.collections.some((pattern) => (pattern.endsWith('*') ? collection.startsWith(pattern.slice(0, -1)) : pattern === collection));

/** @throws ArchipelError `forbidden` */
export function requireCollection(principal: Principal, collection: string): void {
  if (!mayUseCollection(principal, collection)) throw new ArchipelError('forbidden', `The key is not for the collection ${collection}.`);
}

export function mayUsePk(principal: Principal, pk: Uint8Array): boolean {
  if (principal.prefixes === undefined) return true;
  const text = utf8Text(pk);
  return text !== undefined && principal.prefixes.some((prefix) => text.startsWith(prefix));
}

/** @throws ArchipelError `forbidden` */
export function requirePk(principal: Principal, pk: Uint8Array): void {
  if (!mayUsePk(principal, pk)) throw new ArchipelError('forbidden', 'The key is not for this item.');
}

/** Every item of a collection. @throws ArchipelError `forbidden` */
export function requireWholeCollection(principal: Principal, collection: string): void {
  requireCollection(principal, collection);
  if (principal.prefixes !== undefined) throw new ArchipelError('forbidden', `The key is not for all items of ${collection}.`);
}

/**
 * What is about all collections at once (replication, keys, metrics) is for keys of all collections: it tells of every
 * one, and an admin key of one collection could else make itself a key of all. @throws ArchipelError `forbidden`
 */
export function requireStore(principal: Principal): void {
  if (principal.prefixes !== undefined || !principal.collections.includes('*')) throw new ArchipelError('forbidden', 'The key is not for the whole store.');
}
