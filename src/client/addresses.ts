// Where a client may ask: one address, or several of one cluster, its regions straight or edges. With several the client is its
// own edge: it knows which of them answer, and asks the next one where one does not.
//
//  1. The order is as given, the nearest first; behind the others stand those that come back and do not get this key yet, those
//     that a region's topology says are not active, and last those whose breaker is open. It is an order, no refusal.
//  2. A request is asked of each address once before it pauses: a round. What may be repeated has ATTEMPT_MS at each but the
//     last of its round, behind which nobody else could do better.
//  3. An address that was away gets its requests back step by step, key by key, and only after it has said that it has caught up;
//     probes find that out, and no request is spent on it.
//  4. Regions say with every answer what topology they work on, as they do to an edge. It is asked for with the caller's own key.

import { utf8Text } from '../core/bytes.ts';
import { EDGE_ATTEMPT_MS } from '../core/limits.ts';
import { isNewerVersion } from '../core/placement/topology.ts';
import { Reach } from '../core/routing/reach.ts';
import type { Clock } from '../ports/clock.ts';
import { NoAnswer, type Transport, type TransportAnswer, type TransportRequest } from './transport.ts';

export interface Address {
  readonly url: string;
  readonly transport: Transport;
}

/** Of a request to one of several regions: as long as an edge gives one. */
const ATTEMPT_MS = EDGE_ATTEMPT_MS;
/** Longer than an edge takes at most, so that its own verdict arrives. */
const LAST_ATTEMPT_MS = 7_000;

class Target {
  readonly address: Address;
  readonly reach = new Reach();
  /** As the newest topology says; an edge is always. */
  isActive = true;

  constructor(address: Address) {
    this.address = address;
  }

  /** 1: the lower the better; 0 is as good as can be. */
  rank(draw: number, nowMs: number): number {
    return (this.reach.isHealthy(nowMs) ? 0 : 3) + (this.isActive ? (this.reach.takes(draw, nowMs) ? 0 : 1) : 2);
  }
}

export class Addresses {
  readonly #targets: readonly Target[];
  readonly #clock: Clock;
  #topology: Version = { term: 0, epoch: 0 };
  /** Of the document that was asked for last: once is enough where the key may not read it. */
  #asked: Version = this.#topology;

  constructor(addresses: readonly Address[], clock: Clock) {
    this.#targets = addresses.map((address) => new Target(address));
    this.#clock = clock;
  }

  /** For one request. Nothing is chosen before it is asked for. */
  route(target: string): Route {
    if (this.#targets.length > 1) this.#probe();
    return new Route(this.#targets, drawOf(target), this.#clock, (at, request) => this.#send(at, request));
  }

  async #send(target: Target, request: TransportRequest): Promise<TransportAnswer> {
    const { address: { transport }, reach } = target;
    if (this.#targets.length === 1) return transport.send(request);
    try {
      const { term, epoch } = this.#topology;
      const answer = await transport.send({ ...request, headers: { ...request.headers, topology: `${term}.${epoch}` } });
      reach.answered(this.#clock.monotonicMs(), answer.headers['replication-lag'] !== undefined);
      const shown = versionOf(answer.headers['topology']);
      if (shown !== undefined && isNewerVersion(shown, this.#asked)) void this.#learn(transport, shown, request.headers['authorization']);
      return answer;
    } catch (error) {
      reach.failed(this.#clock.monotonicMs(), error instanceof NoAnswer && error.unsent);
      throw error;
    }
  }

  /** 3. Never waited for. */
  #probe(): void {
    for (const target of this.#targets) {
      if (!target.reach.wantsProbe(this.#clock.monotonicMs())) continue;
      this.#send(target, { method: 'GET', target: '/readyz', headers: {}, timeoutMs: ATTEMPT_MS }).catch(() => undefined);
    }
  }

  /** 4. Never waited for. */
  async #learn(transport: Transport, shown: Version, authorization: string | undefined): Promise<void> {
    this.#asked = shown;
    try {
      const { status, body } = await transport.send({ method: 'GET', target: '/v1/topology', headers: authorization === undefined ? {} : { authorization }, timeoutMs: ATTEMPT_MS });
      if (status !== 200) return;
      const { term, epoch, regions } = JSON.parse(utf8Text(body) ?? '') as { term: number; epoch: number; regions: readonly { url?: string; state: string }[] };
      if (!isNewerVersion({ term, epoch }, this.#topology)) return;
      this.#topology = { term, epoch };
      for (const target of this.#targets) {
        const entry = regions.find(({ url }) => url !== undefined && URL.canParse(url) && new URL(url).origin === target.address.url);
        target.isActive = entry === undefined || entry.state === 'active';
      }
    } catch {
      this.#asked = this.#topology; // the next answer shows it again
    }
  }

  close(): void {
    for (const { address } of this.#targets) address.transport.close();
  }
}

type Send = (target: Target, request: TransportRequest) => Promise<TransportAnswer>;

/** One request on its way from address to address. */
export class Route {
  readonly #targets: readonly Target[];
  readonly #draw: number;
  readonly #clock: Clock;
  readonly #send: Send;
  /** In this round. */
  readonly #tried = new Set<Target>();

  constructor(targets: readonly Target[], draw: number, clock: Clock, send: Send) {
    this.#targets = targets;
    this.#draw = draw;
    this.#clock = clock;
    this.#send = send;
  }

  /** 2: the next address, with the one that a hedge would ask. */
  next(): Attempted {
    if (!this.hasOther) this.#tried.clear();
    const nowMs = this.#clock.monotonicMs();
    const order = this.#targets.map((target) => ({ target, rank: target.rank(this.#draw, nowMs) })).sort((a, b) => a.rank - b.rank);
    const left = order.filter(({ target }) => !this.#tried.has(target)).map(({ target }) => target);
    // A half-open breaker's trial is taken here; whoever waits for its outcome goes elsewhere meanwhile, if there is an elsewhere.
    const chosen = left.find(({ reach }) => reach.allows(nowMs)) ?? left[0];
    if (chosen === undefined) throw new TypeError('A client has an address.');
    this.#tried.add(chosen);
    const other = order.find(({ target, rank }) => target !== chosen && rank === 0)?.target;
    const ask = (target: Target) => (request: TransportRequest) => this.#send(target, request);
    return { url: chosen.address.url, send: ask(chosen), second: other && ask(other), mostMs: this.hasOther ? ATTEMPT_MS : LAST_ATTEMPT_MS };
  }

  /** Somebody has not been asked in this round. */
  get hasOther(): boolean {
    return this.#targets.some((target) => !this.#tried.has(target));
  }
}

export interface Attempted {
  readonly url: string;
  readonly send: Transport['send'];
  readonly second: Transport['send'] | undefined;
  /** What may be repeated waits no longer for this one. */
  readonly mostMs: number;
}

interface Version {
  readonly term: number;
  readonly epoch: number;
}

/** `1.7`: term and epoch. */
function versionOf(field: string | undefined): Version | undefined {
  const [, term, epoch] = /^([0-9]{1,15})\.([0-9]{1,15})$/.exec(field ?? '') ?? [];
  return term === undefined ? undefined : { term: Number(term), epoch: Number(epoch) };
}

/** From 0 to 1, the same for the same target (FNV-1a): each key goes back to a region once, and is not answered by two in turn. */
function drawOf(target: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < target.length; at++) hash = Math.imul(hash ^ target.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b); // the last characters decide of the first bits too
  return ((hash ^ (hash >>> 13)) >>> 0) / 2 ** 32;
}
