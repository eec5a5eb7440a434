// One item: GET, HEAD, PUT, PATCH, DELETE.

import { EMPTY, toHex, utf8 } from '../core/bytes.ts';
import { ArchipelError, isArchipelError } from '../core/errors.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import { REQUEST_DEADLINE_MS, VALUE_BYTES_HARD_MAX } from '../core/limits.ts';
import { Recent } from '../core/recent.ts';
import type { Dot, RegionId } from '../core/version/dot.ts';
import { distinctValues, type DottedValue, type State } from '../core/version/record.ts';
import { acceptedTags, canonicalDot, tagOf, tagOfDots, tagOfValues } from '../core/version/tag.ts';
import { findOperation, type Operation } from '../core/version/operations.ts';
import { joinVectors } from '../core/version/version-vector.ts';
import type { TagCondition, Write, WriteRefusal } from '../core/version/write.ts';
import type { ReplicationTarget, WriteResult } from '../engine/coordinate.ts';
import type { Call } from './call.ts';
import {
  checkContentType,
  isJsonType,
  isNotModified,
  parseContentDigest,
  parseIdempotencyKey,
  parseIfMatch,
  parseIfNoneMatch,
  parsePrefer,
  parseReplicateTo,
  parseTtl,
  quality,
  quoted,
  type Preferences,
} from './fields.ts';
import { parseExactJson, parseUnambiguousJson } from './json.ts';
import { mergePatch } from './merge-patch.ts';
import { Reply } from './reply.ts';
import { siblingsJson, siblingsMultipart, toBase64, winnerOf } from './representation.ts';
import type { Service } from './service.ts';
import { TARGET_CHARACTERS_MAX, type NamedItem } from './named-item.ts';
import { applied, isOwn, locationOf } from './written.ts';

/** A context token costs two hashes. Tables that keep what was read lately answer with the same state again. */
interface Shown {
  readonly state: State;
  readonly tag: string;
  readonly token: string;
}

const SHOWN_MAX = 8_192;

export class ItemRoutes {
  readonly #service: Service;
  readonly #lately = new Recent<string, Shown>(SHOWN_MAX);

  constructor(service: Service) {
    this.#service = service;
  }

  // Reading -----------------------------------------------------------------------------------------------------------------

  async get(call: Call, { key }: NamedItem): Promise<Reply> {
    const state = await this.#service.region.coordinator.read(key);
    const nowMs = this.#service.nowMs();
    const values = state === undefined ? [] : distinctValues(state, nowMs);
    const [only] = values;
    if (state === undefined || only === undefined) return this.#absent(key, state);
    this.#checkRead(call, state, nowMs);
    return values.length === 1 ? this.#single(call, key, state, only) : this.#several(call, key, state, values, nowMs);
  }

  #absent(key: ItemKey, state: State | undefined): never {
    const context = state === undefined ? {} : { 'causal-context': this.#service.tokens.mint(key, state) };
    throw new ArchipelError('not-found', 'There is no such item here.', { headers: { ...context, 'served-by': this.#service.servedBy(state) } });
  }

  #checkRead(call: Call, state: State, nowMs: number): void {
    const wanted = parseIfMatch(call.field('if-match'));
    if (wanted === undefined || wanted === '*') return;
    const tags = acceptedTags(state, nowMs, this.#service.hash);
    if (!wanted.some((tag) => tags.includes(tag))) throw new ArchipelError('precondition-failed', 'The item has another tag.', { headers: { etag: quoted(tags[0] as string), 'served-by': this.#service.servedBy(state) } });
  }

  #single(call: Call, key: ItemKey, state: State, { dot, value }: DottedValue): Reply {
    const { tag, token } = this.#shown(call, key, state, dot);
    const headers = this.#service.headers(call, state, { etag: quoted(tag), 'causal-context': token });
    if (isNotModified(call.field('if-none-match'), tag)) return new Reply(304, headers, null);
    headers['content-type'] = value.contentType;
    if (value.expiresMs !== undefined) headers['sunset'] = new Date(value.expiresMs).toUTCString();
    return this.#withDigest(call, 200, value.bytes, headers);
  }

  /** What an answer says of a state with one value; the same for the same state. */
  #shown(call: Call, key: ItemKey, state: State, dot: Dot): Shown {
    const before = this.#lately.get(call.rawTarget);
    if (before?.state === state) return before;
    const shown = { state, tag: tagOfDots([canonicalDot(state.operations, dot)], this.#service.hash), token: this.#service.tokens.mint(key, state) };
    if (call.rawTarget.length <= TARGET_CHARACTERS_MAX) this.#lately.set(call.rawTarget, shown);
    return shown;
  }

  /** RFC 9530: the digest is told when it is asked for. */
  #withDigest(call: Call, status: number, bytes: Uint8Array, headers: Record<string, string>): Reply {
    if (call.field('want-content-digest') !== undefined) headers['content-digest'] = `sha-256=:${toBase64(this.#service.hash(bytes))}:`;
    return new Reply(status, headers, bytes);
  }

  #several(call: Call, key: ItemKey, state: State, values: readonly DottedValue[], nowMs: number): Reply {
    const prefer = parsePrefer(call.field('prefer'));
    const tag = tagOf(state, nowMs, this.#service.hash) as string;
    const context = this.#service.tokens.mint(key, state);
    const base = { 'causal-context': context, conflicts: String(values.length), ...(prefer.siblings === undefined ? {} : { 'preference-applied': `siblings=${prefer.siblings}` }) };
    const answer = (status: number, body: Uint8Array, type: string, representation: string): Reply => {
      const headers = this.#service.headers(call, state, { ...base, etag: quoted(tag, representation) });
      if (isNotModified(call.field('if-none-match'), tag, representation)) return new Reply(304, headers, null);
      return this.#withDigest(call, status, body, { ...headers, 'content-type': type });
    };
    const winner = winnerOf(values);
    if (prefer.siblings === 'winner' && winner !== undefined) return answer(200, winner.value.bytes, winner.value.contentType, 'winner');
    const status = prefer.siblings === 'all' ? 200 : 300;
    const accept = call.field('accept');
    const [json, multipart] = [quality(accept, 'application/json'), quality(accept, 'multipart/mixed')];
    if (json === 0 && multipart === 0) throw new ArchipelError('not-acceptable', 'Siblings come as application/json or multipart/mixed.');
    if (json >= multipart) return answer(status, utf8(siblingsJson(values, state, context)), 'application/json', 'json');
    const { body, boundary } = siblingsMultipart(values, state, this.#service.hash);
    return answer(status, body, `multipart/mixed; boundary=${boundary}`, 'multipart');
  }

  // Writing -----------------------------------------------------------------------------------------------------------------

  put(call: Call, item: NamedItem): Promise<Reply> {
    const contentType = checkContentType(call.field('content-type'));
    const ttl = parseTtl(call.field('item-ttl'));
    const body = call.body(VALUE_BYTES_HARD_MAX);
    const store = (bytes: Uint8Array): Promise<Reply> => this.#put(call, item, bytes, { contentType, ttl });
    return body instanceof Uint8Array ? store(body) : body.then(store);
  }

  #put(call: Call, item: NamedItem, bytes: Uint8Array, { contentType, ttl }: { readonly contentType: string; readonly ttl: number | undefined }): Promise<Reply> {
    this.#checkDigest(call, bytes);
    const value = this.#service.value(bytes, contentType, item.collection, item.key, this.#service.expiryOf(ttl, item.collection));
    const conditions = this.#conditions(call, item.key);
    const operation = this.#operation(call, () => `PUT ${contentType} ${ttl ?? ''} ${toHex(value.hash)}`);
    return this.#write(call, item, conditions === UNCONDITIONAL && operation === undefined ? { value } : { value, ...conditions, ...(operation === undefined ? {} : { operation }) });
  }

  remove(call: Call, item: NamedItem): Promise<Reply> {
    const operation = this.#operation(call, () => 'DELETE');
    return this.#write(call, item, { ...this.#conditions(call, item.key), ...(operation === undefined ? {} : { operation }) });
  }

  #checkDigest(call: Call, bytes: Uint8Array): void {
    const digest = parseContentDigest(call.field('content-digest'));
    if (digest !== undefined && digest !== toBase64(this.#service.hash(bytes))) throw new ArchipelError('bad-request', 'The body does not have the Content-Digest that was sent with it.');
  }

  #conditions(call: Call, key: ItemKey): Pick<Write, 'context' | 'seen' | 'ifMatch' | 'ifNoneMatch'> {
    const token = call.field('causal-context');
    const ifMatch = parseIfMatch(call.field('if-match'));
    const ifNoneMatch = parseIfNoneMatch(call.field('if-none-match'));
    if (token === undefined && ifMatch === undefined && ifNoneMatch === undefined) return UNCONDITIONAL;
    return {
      ...(token === undefined ? {} : this.#service.tokens.read(key, token)),
      ...(ifMatch === undefined ? {} : { ifMatch }),
      ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
    };
  }

  #operation(call: Call, payload: () => string): Operation | undefined {
    const id = parseIdempotencyKey(call.field('idempotency-key'));
    return id === undefined ? undefined : this.#service.operation(id, payload());
  }

  #write(call: Call, { collection, key }: NamedItem, write: Write): Promise<Reply> {
    const prefer = parsePrefer(call.field('prefer'));
    const target = this.#target(parseReplicateTo(call.field('replicate-to')), key);
    const requireContext = collection.policy.requireContext === true;
    return target === undefined ? this.#writeHere(call, { collection, key }, write, { prefer, requireContext }) : this.#writeThere(call, { collection, key }, write, { prefer, requireContext, target });
  }

  async #writeThere(call: Call, { collection, key }: NamedItem, write: Write, { prefer, requireContext, target }: { readonly prefer: Preferences; readonly requireContext: boolean; readonly target: ReplicationTarget }): Promise<Reply> {
    const result = await this.#service.region.coordinator.write(key, write, { requireContext });
    const replicated = await this.#replicate(key, result, target, prefer);
    return this.#answerWrite(call, { collection, key }, write, result, { prefer, target, replicated });
  }

  /** A door that can is given the answer while the disk still works, to be written at the moment the disk has done. */
  #writeHere(call: Call, item: NamedItem, write: Write, { prefer, requireContext }: { readonly prefer: Preferences; readonly requireContext: boolean }): Promise<Reply> {
    const answer = (result: WriteResult): Reply => this.#answerWrite(call, item, write, result, { prefer, target: undefined, replicated: NOWHERE });
    const { coordinator } = this.#service.region;
    if (call.asked.answerNow === undefined) return coordinator.write(item.key, write, { requireContext }).then(answer);
    let early: Reply | undefined;
    const meanwhile = (result: WriteResult) => {
      const reply = answer(result);
      return () => {
        reply.headers['server-timing'] = call.timing(this.#service.monotonicMs());
        early = reply;
        call.asked.answerNow?.(reply);
      };
    };
    return coordinator.write(item.key, write, { requireContext, meanwhile }).then((result) => early ?? answer(result));
  }

  #target(target: ReplicationTarget | undefined, key: ItemKey): ReplicationTarget | undefined {
    if (target === undefined) return undefined;
    const holders = this.#service.region.catalog.holdersOf(key) ?? [];
    if (target.type === 'regions') {
      const foreign = target.regions.find((region) => !holders.includes(region));
      if (foreign !== undefined) throw new ArchipelError('bad-request', `${foreign} does not hold this item.`);
      return { type: 'regions', regions: target.regions.filter((region) => region !== this.#service.region.id) };
    }
    const others = holders.length - 1;
    if (target.count > others) throw new ArchipelError('bad-request', others === 0 ? 'No other region holds this item.' : `Only ${others} other ${others === 1 ? 'region holds' : 'regions hold'} this item.`);
    return target;
  }

  async #replicate(key: ItemKey, result: WriteResult, target: ReplicationTarget, prefer: Preferences): Promise<readonly RegionId[]> {
    const isWritten = result.decision.type === 'commit' || result.decision.type === 'duplicate';
    if (!isWritten || result.state === undefined) return [];
    const timeoutMs = Math.min(REQUEST_DEADLINE_MS, (prefer.waitSeconds ?? REQUEST_DEADLINE_MS / 1_000) * 1_000);
    return this.#service.region.coordinator.replicate(key, result.state, target, timeoutMs);
  }

  #answerWrite(
    call: Call,
    item: NamedItem,
    write: Write,
    result: WriteResult,
    more: { readonly prefer: Preferences; readonly target: ReplicationTarget | undefined; readonly replicated: readonly RegionId[] },
  ): Reply {
    const { decision, state } = result;
    if (decision.type === 'refused') throw decision.code === 'too-many-siblings' && state !== undefined ? this.#tooMany(call, item.key, state, more.prefer) : this.#refused(decision.code, item.key, state);
    const nowMs = this.#service.nowMs();
    const headers = this.#service.headers(call, state, this.#writeFields(item.key, write, result, { ...more, nowMs }), nowMs);
    const wanted = more.target === undefined ? 0 : more.target.type === 'count' ? more.target.count : more.target.regions.length;
    if (more.replicated.length < wanted) return new Reply(202, { ...headers, ...applied(more, undefined) }, null);
    const created = decision.type === 'commit' && write.value !== undefined && result.created;
    if (created) headers['location'] = locationOf(item);
    if (more.prefer.return === 'representation' && write.value !== undefined && decision.type === 'commit' && decision.outcome === 'stored') {
      const fields = { ...headers, ...applied(more, 'return=representation'), 'content-type': write.value.contentType };
      return this.#withDigest(call, created ? 201 : 200, write.value.bytes, fields);
    }
    return new Reply(created ? 201 : 204, Object.assign(headers, applied(more, more.prefer.return === 'minimal' ? 'return=minimal' : undefined)), null);
  }

  /**
   * A context covers everything that the record holds, so it comes with a write's answer only when the client has seen all
   * of that: nothing is left, or its own value alone. Not when one value is left that is another's: that is what a retry
   * finds after somebody has written over it, and a DELETE that did not know of a sibling.
   */
  #writeFields(key: ItemKey, write: Write, { decision, state }: WriteResult, more: { readonly target: ReplicationTarget | undefined; readonly replicated: readonly RegionId[]; readonly nowMs: number }): Record<string, string> {
    const values = state === undefined ? [] : distinctValues(state, more.nowMs);
    const mayTellContext = state !== undefined && decision.type !== 'superseded' && values.every(({ dot }) => isOwn(decision, state, dot));
    const tag = this.#tagAfter(write, decision, state, values);
    const [only] = values;
    const fields: Record<string, string> = { 'write-outcome': decision.type === 'commit' ? decision.outcome : decision.type };
    if (tag !== undefined) fields['etag'] = quoted(tag);
    if (mayTellContext) fields['causal-context'] = this.#service.tokens.mint(key, state);
    if (write.value?.expiresMs !== undefined && only !== undefined) fields['sunset'] = new Date(write.value.expiresMs).toUTCString();
    if (more.target !== undefined) fields['replicated-to'] = `(${more.replicated.map((region) => `"${region}"`).join(' ')})`;
    return fields;
  }

  #tagAfter(write: Write, decision: WriteResult['decision'], state: State | undefined, values: readonly DottedValue[]): string | undefined {
    if (write.value === undefined || state === undefined || decision.type === 'superseded') return undefined;
    if (decision.type === 'duplicate') return tagOfDots([canonicalDot(state.operations, decision.entry.dot)], this.#service.hash);
    return tagOfValues(state, values, this.#service.hash);
  }

  #refused(code: WriteRefusal, key: ItemKey, state: State | undefined): ArchipelError {
    const context = state === undefined ? {} : { 'causal-context': this.#service.tokens.mint(key, state) };
    const tag = state === undefined ? undefined : tagOf(state, this.#service.nowMs(), this.#service.hash);
    // The context of several siblings is told only together with them.
    const headers = { 'served-by': this.#service.servedBy(state), ...(tag === undefined ? {} : { etag: quoted(tag) }), ...(code === 'not-found' ? context : {}) };
    return new ArchipelError(code, REFUSALS[code], { headers });
  }

  /** Comes with what there is to merge, and the context that covers just that; not for a key that may not read, nor for one of a batch. */
  #tooMany(call: Call, key: ItemKey, state: State, prefer: Preferences): ArchipelError {
    const refused = this.#refused('too-many-siblings', key, state);
    if (prefer.return === 'minimal' || !call.principal.scopes.has('read')) return refused;
    const context = this.#service.tokens.mint(key, state);
    const headers = { ...(refused.details['headers'] as Record<string, string>), 'causal-context': context };
    return new ArchipelError(refused.code, refused.message, { headers, members: siblingsJson(distinctValues(state, this.#service.nowMs()), state, context) });
  }

  // Patching ----------------------------------------------------------------------------------------------------------------

  /** RFC 7396 on JSON values of `lww` collections: read, merge, write where the item is unchanged, and again. */
  async patch(call: Call, item: NamedItem): Promise<Reply> {
    const { collection, key } = item;
    if (collection.policy.conflict !== 'lww' || !/^application\/(merge-patch\+)?json\s*(;|$)/i.test(call.field('content-type') ?? '')) {
      throw new ArchipelError('unsupported-media-type', 'PATCH takes application/merge-patch+json on items of lww collections.');
    }
    const ttl = parseTtl(call.field('item-ttl'));
    const bytes = await call.body(VALUE_BYTES_HARD_MAX);
    this.#checkDigest(call, bytes);
    const patch = { document: parseUnambiguousJson(bytes), ttl, ...this.#conditions(call, key) };
    const operation = this.#operation(call, () => `PATCH ${ttl ?? ''} ${toHex(this.#service.hash(bytes).subarray(0, 8))}`);
    for (let attempt = 0; attempt < PATCH_ATTEMPTS_MAX; attempt++) {
      const current = await this.#service.region.coordinator.read(key);
      const isKnown = operation !== undefined && current !== undefined && findOperation(current.operations, operation.id) !== undefined;
      const write = isKnown ? NEVER_WRITTEN : this.#patched(item, current, patch);
      const answer = await this.#tryPatch(call, item, operation === undefined ? write : { ...write, operation });
      if (answer !== undefined) return answer;
    }
    throw new ArchipelError('overloaded', 'The item changes faster than it can be patched.');
  }

  /** Undefined: somebody else was faster. */
  async #tryPatch(call: Call, item: NamedItem, write: Write): Promise<Reply | undefined> {
    try {
      return await this.#write(call, item, write);
    } catch (error) {
      if (isArchipelError(error, 'precondition-failed')) return undefined;
      throw error;
    }
  }

  /** The client's conditions are judged on the state that is merged; the write then holds for this state only. */
  #patched({ collection, key }: NamedItem, current: State | undefined, patch: Patch): Write {
    const nowMs = this.#service.nowMs();
    const [value] = current === undefined ? [] : distinctValues(current, nowMs);
    if (current === undefined || value === undefined) this.#absent(key, current);
    const tags = acceptedTags(current, nowMs, this.#service.hash);
    const matches = (condition: TagCondition): boolean => condition === '*' || condition.some((tag) => tags.includes(tag));
    if ((patch.ifMatch !== undefined && !matches(patch.ifMatch)) || (patch.ifNoneMatch !== undefined && matches(patch.ifNoneMatch))) throw this.#refused('precondition-failed', key, current);
    if (!isJsonType(value.value.contentType)) throw new ArchipelError('unsupported-media-type', 'The item is not JSON.');
    const merged = utf8(JSON.stringify(mergePatch(parseExactJson(value.value.bytes), patch.document)));
    const expiresMs = patch.ttl === undefined && value.value.expiresMs !== undefined ? value.value.expiresMs : this.#service.expiryOf(patch.ttl, collection);
    return {
      value: this.#service.value(merged, value.value.contentType, collection, key, expiresMs),
      ifMatch: tags,
      // What was merged is seen.
      ...(patch.context === undefined ? {} : { context: joinVectors(patch.context, current.context), seen: patch.seen }),
    };
  }
}

interface Patch extends Pick<Write, 'context' | 'seen' | 'ifMatch' | 'ifNoneMatch'> {
  readonly document: unknown;
  readonly ttl: number | undefined;
}

/** For an operation that is known here: it is answered as that before any condition, and this condition never holds. */
const NEVER_WRITTEN: Write = { value: { bytes: EMPTY, contentType: 'application/json', hash: EMPTY }, ifMatch: [] };

const NOWHERE: readonly RegionId[] = [];
const UNCONDITIONAL: Pick<Write, 'context' | 'seen' | 'ifMatch' | 'ifNoneMatch'> = {};

const PATCH_ATTEMPTS_MAX = 16;

const REFUSALS: Readonly<Record<WriteRefusal, string>> = {
  'idempotency-key-reused': 'The Idempotency-Key was used for another request on this item.',
  'operation-expired': 'Too many writes have come since this operation was made to tell whether it was taken: read the item.',
  'precondition-failed': 'The item is not as the precondition says.',
  'context-required': 'Send the Causal-Context of the version that you read.',
  'not-found': 'There is no such item here.',
  'too-many-siblings': 'The item holds as many siblings as are allowed: merge them, and write with the Causal-Context that they come with.',
};
