// What the routes of a region need besides the request.

import type { ContextTokens } from '../auth/context-tokens.ts';
import type { KeyRing } from '../auth/keys.ts';
import { utf8, toHex } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import { CAUGHT_UP_LAG_MS } from '../core/limits.ts';
import { actorRegion } from '../core/version/dot.ts';
import { asOperationHash, type Operation } from '../core/version/operations.ts';
import { headDot, type State, type Value } from '../core/version/record.ts';
import { stampMs } from '../core/version/stamp.ts';
import type { Collection } from '../engine/catalog.ts';
import { Catalog } from '../engine/catalog.ts';
import type { Region } from '../engine/region.ts';
import { uuidV7Ms } from '../ports/random.ts';
import { LAG_FIELD, TOPOLOGY_FIELD, type Call } from './call.ts';
import { Cursors } from './cursors.ts';
import { isJsonType } from './fields.ts';
import { parseJson } from './json.ts';
import { ownRuns, type Runs } from './runs.ts';

const UUID_CHARACTERS = 36;

export interface ServiceParts {
  readonly region: Region;
  readonly keys: KeyRing;
  readonly tokens: ContextTokens;
  /** Loopback without a key: only with an explicit --no-auth. */
  readonly noAuth: boolean;
  readonly defaultReplicas: number;
  /** Default: the region's own. */
  readonly runs?: Runs;
}

export class Service {
  readonly region: Region;
  readonly keys: KeyRing;
  readonly tokens: ContextTokens;
  readonly cursors: Cursors;
  readonly noAuth: boolean;
  readonly defaultReplicas: number;
  readonly runs: Runs;

  constructor(parts: ServiceParts) {
    this.cursors = new Cursors(parts.tokens, parts.region.parts.hash);
    this.region = parts.region;
    this.keys = parts.keys;
    this.tokens = parts.tokens;
    this.noAuth = parts.noAuth;
    this.defaultReplicas = parts.defaultReplicas;
    this.runs = parts.runs ?? ownRuns(parts.region.reconciler);
  }

  get hash(): (bytes: Uint8Array) => Uint8Array {
    return this.region.parts.hash;
  }

  nowMs(): number {
    return this.region.time.readersMs();
  }

  monotonicMs(): number {
    return this.region.time.monotonicMs();
  }

  /** `eu-central-1; origin=us-east-1; age-ms=140` */
  servedBy(state: State | undefined, nowMs = this.nowMs()): string {
    const head = state === undefined ? undefined : headDot(state);
    if (head === undefined) return this.region.id;
    return `${this.region.id}; origin=${actorRegion(head.actor)}; age-ms=${Math.max(0, nowMs - stampMs(head.stamp))}`;
  }

  /** @throws ArchipelError `too-large`, `bad-request` for malformed JSON under a JSON type */
  value(bytes: Uint8Array, contentType: string, collection: Collection, key: ItemKey, expiresMs: number | undefined): Value {
    const most = Catalog.itemBytesMax(collection.policy);
    const size = bytes.length + key.pk.length + key.sk.length;
    if (size > most) throw new ArchipelError('too-large', `Key and value have ${size} bytes; at most ${most} are allowed.`);
    if (isJsonType(contentType)) parseJson(bytes);
    const value = { bytes, contentType, hash: this.hash(bytes).slice(0, 8) };
    return expiresMs === undefined ? value : { ...value, expiresMs };
  }

  /** When a value that is written now expires: by its own time to live, else by the collection's. */
  expiryOf(ttlSeconds: number | undefined, collection: Collection): number | undefined {
    const seconds = ttlSeconds ?? collection.policy.ttlSeconds;
    return seconds === undefined ? undefined : this.nowMs() + seconds * 1_000;
  }

  /** The operation that a request carries; `payload` is what was asked, so that another request under the same id is told. */
  operation(id: string | undefined, payload: string): Operation | undefined {
    if (id === undefined) return undefined;
    const mintedAtMs = uuidV7Ms(id.slice(0, UUID_CHARACTERS)); // an entry of a batch has its number behind it
    const operation = { id: asOperationHash(this.#short(id)), payload: this.#short(payload) };
    return mintedAtMs === undefined ? operation : { ...operation, mintedAtMs };
  }

  #short(text: string): string {
    return toHex(this.hash(utf8(text)).subarray(0, 8));
  }

  #topologyNumber(): string {
    const { term, epoch } = this.region.catalog.version;
    return `${term}.${epoch}`;
  }

  headers(call: Call, state: State | undefined, more: Readonly<Record<string, string>> = {}, nowMs = this.nowMs()): Record<string, string> {
    const fields = call.headers(this.servedBy(state, nowMs), more, this.monotonicMs());
    const told = call.field(TOPOLOGY_FIELD);
    if (told === undefined) return fields;
    if (told !== this.#topologyNumber()) fields[TOPOLOGY_FIELD] = this.#topologyNumber();
    return Object.assign(fields, this.lag());
  }

  /** For whoever routes: this region has not caught up. */
  lag(): Record<string, string> {
    const lagMs = this.region.health.lagMs();
    return lagMs > CAUGHT_UP_LAG_MS ? { [LAG_FIELD]: String(Math.round(lagMs)) } : {};
  }
}
