// The story: written here and read there; cut apart and written on both sides; joined again with nothing lost.

import type { Client } from '../../client/client.ts';
import type { Collection, Conflict, Item, Policy, Read, Topology } from '../../client/types.ts';
import { cityOf } from '../../config/places.ts';
import { ArchipelError, isArchipelError } from '../../core/errors.ts';
import type { RegionId } from '../../core/version/dot.ts';
import { everyPair, isAgreed, reconcileAll, type Result } from '../commands/reconcile.ts';
import { setPaused } from '../commands/replication.ts';
import { duration, plural } from '../output.ts';
import type { Session } from '../session.ts';
import { assertRegions, type Actor, type Stage } from './stage.ts';

const DAY_SECONDS = 86_400;
/** The pair that the story is written for, where the cluster has it. */
const PREFERRED = ['ap-northeast-2', 'eu-central-1'];

export interface Cast {
  /** Two of them act; the others are asked what they hold. */
  readonly one: Actor;
  readonly other: Actor;
  readonly all: readonly Actor[];
  readonly edge: boolean;
}

export async function castOf(session: Session): Promise<Cast> {
  const { regions } = await session.topology();
  assertRegions(regions.length);
  const ids = PREFERRED.every((id) => regions.some((region) => region.id === id)) ? PREFERRED : regions.slice(0, 2).map(({ id }) => id);
  const edge = await isEdge(session.front, ids);
  const all = await Promise.all(regions.map((region) => actorOf(session, region, edge)));
  const [one, other] = ids.map((id) => all.find((actor) => actor.id === id)) as [Actor, Actor];
  return { one, other, all, edge };
}

/** Only an edge answers for whichever region it is told. */
async function isEdge(front: Client, ids: readonly string[]): Promise<boolean> {
  try {
    for (const region of ids) await front.with({ region }).replication();
    return true;
  } catch (error) {
    if (isArchipelError(error, 'wrong-region')) return false;
    throw error;
  }
}

async function actorOf(session: Session, { id, lat, lon }: Topology['regions'][number], edge: boolean): Promise<Actor> {
  const region = await session.at(id);
  return { id, city: cityOf(id as RegionId) ?? id, region, viewer: edge ? { client: session.front, options: { viewer: { lat, lon } } } : { client: region, options: {} } };
}

export class Story {
  readonly #session: Session;
  readonly #stage: Stage;
  readonly #cast: Cast;
  readonly #suffix: string;
  #siblings = 'demo-siblings';
  #lww = 'demo-lww';
  #isApart = false;

  constructor(session: Session, stage: Stage, cast: Cast, suffix: string) {
    this.#session = session;
    this.#stage = stage;
    this.#cast = cast;
    this.#suffix = suffix;
  }

  async tell(): Promise<void> {
    await this.#assertJoined();
    try {
      await this.#collections();
      await this.#near();
      await this.#apart();
      await this.#bothSides();
      await this.#together();
      await this.#merge();
      await this.#ledger();
      await this.#proof();
    } finally {
      if (this.#isApart) await this.#join();
    }
  }

  /** A pause that somebody else made is not ours to end. */
  async #assertJoined(): Promise<void> {
    const { one, other } = this.#cast;
    for (const [actor, peer] of [[one, other], [other, one]] as const) {
      const { peers } = await actor.region.replication();
      if (peers.some(({ id, paused }) => id === peer.id && paused)) throw new ArchipelError('bad-request', `Replication between ${one.id} and ${other.id} is paused. Resume it first: archipel replication resume ${one.id} ${other.id}`);
    }
  }

  /** Also after Ctrl-C, and after a step that failed. */
  async #join(): Promise<void> {
    const { one, other } = this.#cast;
    try {
      await setPaused(this.#session, 'resume', [[one.id, other.id], [other.id, one.id]]);
      this.#isApart = false;
    } catch (error) {
      throw new ArchipelError('internal', `Replication between ${one.id} and ${other.id} is still paused, and could not be resumed. Try: archipel replication resume ${one.id} ${other.id}`, {}, error);
    }
  }

  // The steps -----------------------------------------------------------------------------------------------------------------

  #collections(): Promise<void> {
    const replicas = this.#cast.all.length;
    return this.#stage.step('Two collections', 'A collection says what happens when two regions write one item at the same time: keep both values (siblings), or let the newer one stand and put the other into the loss ledger (lww).', async () => {
      const siblings = await this.#create(this.#siblings, { conflict: 'siblings', replicas, ttlSeconds: DAY_SECONDS });
      const lww = await this.#create(this.#lww, { conflict: 'lww', replicas, ttlSeconds: DAY_SECONDS });
      [this.#siblings, this.#lww] = [siblings.name, lww.name];
      await this.#stage.claim(`every region knows ${siblings.name} and ${lww.name}`, siblings.state === 'active' && lww.state === 'active');
    });
  }

  /** One of an earlier demo is used again; where somebody made it otherwise, another name is. */
  async #create(name: string, policy: Policy): Promise<Collection> {
    const { front } = this.#session;
    try {
      return (await this.#stage.ask(front, (client) => client.createCollection(name, policy))).collection;
    } catch (error) {
      if (!isArchipelError(error, 'collection-exists')) throw error;
      return (await this.#stage.ask(front, (client) => client.createCollection(`${name}-${this.#suffix}`, policy))).collection;
    }
  }

  #put(actor: Actor, collection: string, pk: string, value: unknown, context?: string): ReturnType<Client['put']> {
    const options = { ...actor.viewer.options, contentType: 'application/json', ...(context === undefined ? {} : { context }) };
    return this.#stage.ask(actor.viewer.client, (client) => client.put({ collection, pk }, JSON.stringify(value), options));
  }

  #get(actor: Actor, collection: string, pk: string, isExpected: (read: Read) => boolean = () => true): Promise<Read> {
    return this.#stage.until(actor.viewer.client, (client) => client.get({ collection, pk }, actor.viewer.options), isExpected);
  }

  /** What every region holds, asked at the regions themselves, until all hold the same and it is as expected. */
  async #everywhere(what: string, { collection, pk }: Item, isExpected: (read: Read) => boolean): Promise<Read> {
    const { all } = this.#cast;
    const read = (): Promise<Read[]> => Promise.all(all.map(({ region }) => region.get({ collection, pk })));
    const isAsExpected = (reads: readonly Read[]): boolean => reads.every(isExpected) && new Set(reads.map(tagOf)).size === 1;
    const reads = await this.#stage.quietly(this.#session.front, read, isAsExpected);
    await this.#stage.claim(`${plural(all.length, 'region')}, one answer: ${what}`, isAsExpected(reads));
    return reads[0] as Read;
  }

  #near(): Promise<void> {
    const { one, other, edge } = this.#cast;
    const pk = `greeting-${this.#suffix}`;
    const how = edge ? 'The edge sends each request to the nearest region.' : 'Each request goes straight to a region.';
    return this.#stage.step(`Written in ${one.city}, read in ${other.city}`, `${how} ${one.city} acknowledges the write as soon as it is on its own disk; replication carries it on.`, async () => {
      const written = await this.#put(one, this.#lww, pk, `hello from ${one.city}`);
      const startedMs = performance.now();
      await this.#stage.claim(`${one.city} took it`, written.servedBy.region === one.id && written.outcome === 'stored');
      const read = await this.#get(other, this.#lww, pk, ({ type }) => type === 'value');
      const ms = performance.now() - startedMs;
      await this.#stage.claim(`${other.city} has it, ${duration(ms)} after ${one.city} acknowledged it`, valueOf(read) === `hello from ${one.city}` && read.servedBy.region === other.id && read.servedBy.origin === one.id);
    });
  }

  #apart(): Promise<void> {
    const { one, other } = this.#cast;
    return this.#stage.step(`${one.city} and ${other.city} are cut apart`, 'Replication between them is held back, in both directions and on both sides.', async () => {
      this.#isApart = true; // before it is, so that whatever happens it is ended
      for (const [actor, peer] of [[one, other], [other, one]] as const) await this.#stage.ask(actor.region, (client) => client.pause(peer.id));
      const sides = await Promise.all([[one, other] as const, [other, one] as const].map(async ([actor, peer]) => (await actor.region.replication()).peers.find(({ id }) => id === peer.id)?.paused));
      await this.#stage.claim('both sides say that it is paused', sides.every((paused) => paused === true));
    });
  }

  #bothSides(): Promise<void> {
    const { one, other } = this.#cast;
    const [cart, title] = this.#keys;
    return this.#stage.step('The same items are written on both sides', 'Neither side asks the other: both acknowledge. Nobody can know yet that the writes are concurrent.', async () => {
      const written = [
        await this.#put(one, this.#siblings, cart, ['apples']),
        await this.#put(other, this.#siblings, cart, ['bread']),
        await this.#put(one, this.#lww, title, `as ${one.city} has it`),
        await this.#put(other, this.#lww, title, `as ${other.city} has it`),
      ];
      await this.#stage.claim('all four writes are acknowledged, each where it was written', written.every(({ outcome, servedBy }, at) => outcome === 'stored' && servedBy.region === (at % 2 === 0 ? one.id : other.id)));
      const seen = await Promise.all([one, other].map(async ({ region }) => valueOf(await region.get({ collection: this.#siblings, pk: cart }))));
      await this.#stage.claim(`${one.city} sees ${JSON.stringify(seen[0])}, ${other.city} sees ${JSON.stringify(seen[1])}`, JSON.stringify(seen) === '[["apples"],["bread"]]');
      const { peers } = await this.#stage.until(one.region, (client) => client.replication(), (replication) => waiting(replication, other) >= 2);
      const items = waiting({ peers }, other);
      await this.#stage.claim(`live RPO: a loss of ${one.city}, now, would lose ${plural(items, 'item')} in ${other.city}`, items >= 2);
    });
  }

  get #keys(): readonly [cart: string, title: string] {
    return [`cart-${this.#suffix}`, `title-${this.#suffix}`];
  }

  #together(): Promise<void> {
    const { one, other } = this.#cast;
    const [cart] = this.#keys;
    return this.#stage.step('Joined again: siblings', 'What waited is sent. Both values of the cart were written without knowledge of the other, so both stand, in every region.', async () => {
      for (const [actor, peer] of [[one, other], [other, one]] as const) await this.#stage.ask(actor.region, (client) => client.resume(peer.id));
      this.#isApart = false;
      const read = await this.#get(other, this.#siblings, cart, ({ type }) => type === 'siblings');
      await this.#stage.claim(`${other.city} answers 300 with both values`, read.type === 'siblings' && read.siblings.length === 2);
      await this.#everywhere('both values', { collection: this.#siblings, pk: cart }, (each) => each.type === 'siblings' && each.siblings.length === 2);
    });
  }

  #merge(): Promise<void> {
    const { other } = this.#cast;
    const [cart] = this.#keys;
    return this.#stage.step('Resolved by whoever knows what a cart is', 'A write with the Causal-Context of the 300 supersedes exactly what was read, and nothing that nobody saw.', async () => {
      const read = await this.#stage.quietly(other.region, (client) => client.get({ collection: this.#siblings, pk: cart }));
      const written = await this.#put(other, this.#siblings, cart, ['apples', 'bread'], read.context);
      await this.#stage.claim('it is stored, and stands alone', written.outcome === 'stored');
      await this.#everywhere('["apples","bread"]', { collection: this.#siblings, pk: cart }, (each) => JSON.stringify(valueOf(each)) === '["apples","bread"]');
    });
  }

  #ledger(): Promise<void> {
    const { one, other } = this.#cast;
    const [, title] = this.#keys;
    return this.#stage.step('Last write wins, and the loser is not gone', 'Under lww one of the two titles stands everywhere. The other was acknowledged too: it is in the loss ledger, with the winner and the rule, and can be brought back.', async () => {
      const versions = [one, other].map(({ city }) => `as ${city} has it`);
      const stands = valueOf(await this.#everywhere('one of the two titles', { collection: this.#lww, pk: title }, (each) => versions.includes(valueOf(each) as string)));
      await this.#get(one, this.#lww, title);
      const [winner, loser] = stands === versions[0] ? [one, other] : [other, one];
      await this.#stage.claim(`the newer write stands: ${winner.city}’s`, stands === `as ${winner.city} has it`);
      const { keeper, row } = await this.#findLoss(title);
      const value = lostValue(row);
      await this.#stage.claim(`the ledger of ${keeper.city} has what ${loser.city} wrote: “${String(value)}”, rule ${row?.rule ?? 'none'}`, value === `as ${loser.city} has it`);
      await this.#stage.ask(keeper.region, (client) => client.restore(this.#lww, (row as Conflict).id));
      await this.#everywhere(`“${String(value)}” again`, { collection: this.#lww, pk: title }, (each) => valueOf(each) === value);
    });
  }

  /** The loss is in the ledger of whichever region saw both values; the others have the outcome only. */
  async #findLoss(pk: string): Promise<{ readonly keeper: Actor; readonly row: Conflict | undefined }> {
    const { one, other, all } = this.#cast;
    for (const keeper of [one, other, ...all]) {
      const row = await this.#loss(keeper, pk);
      if (row === undefined) continue;
      const page = await this.#stage.ask(keeper.region, (client) => client.conflicts(this.#lww, { since: row.at ?? '0' }));
      return { keeper, row: page.items.find((item) => item.id === row.id) };
    }
    return { keeper: one, row: undefined };
  }

  async #loss({ region }: Actor, pk: string): Promise<Conflict | undefined> {
    let cursor: string | undefined;
    do {
      const page = await this.#stage.quietly(region, (client) => client.conflicts(this.#lww, cursor === undefined ? {} : { cursor }));
      const row = page.items.find((item) => item.pk === pk);
      if (row !== undefined) return row;
      cursor = page.cursor;
    } while (cursor !== undefined);
    return undefined;
  }

  #proof(): Promise<void> {
    return this.#stage.step('Proved equal', 'Every pair of regions compares one digest over all that both hold. Where the digests are equal, nothing else is sent, and both keep a certificate.', async () => {
      const { all } = this.#cast;
      const results = await reconcileAll(this.#session, everyPair(all.map(({ id }) => id)), {}, this.#stage.signal);
      const [first] = results as [Result];
      const asked = await this.#session.at(first.region);
      await this.#stage.ask(asked, (client) => client.reconciliation(first.run.id));
      for (const { region, run } of results) {
        for (const { peer, certificate, requests, bytes } of run.pairs ?? []) {
          await this.#stage.claim(`${region} = ${peer}: digest ${certificate?.digest ?? 'none'} (${plural(requests, 'request')}, ${bytes} bytes)`, certificate !== undefined);
        }
      }
      await this.#stage.claim('the copies agree', results.every(isAgreed));
    });
  }
}

const tagOf = (read: Read): string => (read.type === 'absent' ? '' : read.etag);

/** Undefined for siblings and for nothing. */
const valueOf = (read: Read): unknown => (read.type === 'value' ? JSON.parse(new TextDecoder().decode(read.bytes)) : undefined);

/** The ledger may show JSON as bytes. */
function lostValue(row: Conflict | undefined): unknown {
  const { value, valueBase64 } = (row?.loser ?? {}) as { readonly value?: unknown; readonly valueBase64?: string };
  if (value !== undefined) return value;
  return valueBase64 === undefined ? undefined : JSON.parse(Buffer.from(valueBase64, 'base64').toString('utf8'));
}

const waiting = ({ peers }: { readonly peers: readonly { readonly id: string; readonly unreplicatedItems: number }[] }, to: Actor): number => peers.find(({ id }) => id === to.id)?.unreplicatedItems ?? 0;
