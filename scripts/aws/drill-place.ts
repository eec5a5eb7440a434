// A drill on the emulated AWS of this machine. What is done to a process there is done here to a region's functions and to
// the mappings that call them; its table and its queues stay, as they would. Seen through HTTP only, as everywhere.
//
//   kill          its doors are shut, the processes that run its functions are killed, no function of it can be invoked, and nothing
//                 calls one: neither its stream nor its inbox nor its hints
//   stop · pause  no function of it can be invoked, and nothing calls one; what runs ends
//   start · resume  all of it is as before; resolves when the region answers
//   isolate · cut · slow …  see drill-links.ts

import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { names } from '../../src/adapters/aws/names.ts';
import type { HeartbeatResult } from '../../functions/heartbeat.ts';
import { nodeRandom } from '../../src/adapters/node/crypto.ts';
import type { Client } from '../../src/client/client.ts';
import { connect, patientClock } from '../../src/client/node.ts';
import type { Certificate, Replication } from '../../src/client/types.ts';
import { regionEntry } from '../../src/config/places.ts';
import { toHex } from '../../src/core/bytes.ts';
import { ArchipelError } from '../../src/core/errors.ts';
import { asRegionId } from '../../src/core/version/dot.ts';
import type { View } from '../../src/drill/account.ts';
import { ROLES, type ControlName, type Drill, type PlaceAction, type Role } from '../../src/drill/drill.ts';
import { emptiesQueues, scaledForAws } from '../../src/drill/on-aws.ts';
import { comparison, isQuietAt, keptIn, readView } from '../../src/drill/operator.ts';
import type { AwsPlaces, DrillPlace, Kept } from '../../src/drill/place.ts';
import type { DrillReport } from '../../src/drill/report.ts';
import { runDrill, type RunParts } from '../../src/drill/run.ts';
import { pause } from '../../src/ports/clock.ts';
import { freePorts } from '../lib/cluster.ts';
import { ask, until } from '../lib/http.ts';
import { DrillLinks, type Outside } from './drill-links.ts';
import { deployedDistribution, startDoor, startFront } from './front.ts';
import { DEPLOYMENT, LocalAws } from './local-aws.ts';
import { Unavailable } from './venv.ts';

const OPERATOR_MS = 30_000;
const ASK_EVERY_MS = 500;
const READY_MS = 60_000;
/** Each is a process or two of the emulator: more than this, and they take each other's time until none is answered. */
const AT_ONCE_MAX = 4;
/** An answer that is not older is good for two figures. */
const FRESH_MS = 200;
/** By what is wrong with a region's links. */
const UNTOUCHED: readonly Outside[] = ['client', 'operator'];

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

export class AwsPlace implements DrillPlace {
  readonly name = 'aws-local';
  /** A question is some calls of the emulator, and finds a cold environment now and then. */
  readonly answerMs = 5_000;
  readonly regions: readonly string[];
  readonly #aws: LocalAws;
  readonly #links: DrillLinks;
  readonly #front: Server;
  readonly #doors: readonly Server[];
  readonly #emptiesQueues: boolean;
  readonly #clients: Client[] = [];
  readonly #operators = new Map<string, Client>();
  readonly #replication = new Map<string, { readonly atMs: number; readonly answer: Promise<Replication> }>();
  readonly #away = new Set<string>();

  private constructor(aws: LocalAws, regions: readonly string[], { links, front, doors, emptiesQueues }: { readonly links: DrillLinks; readonly front: Server; readonly doors: readonly Server[]; readonly emptiesQueues: boolean }) {
    this.#aws = aws;
    this.regions = regions;
    this.#links = links;
    this.#front = front;
    this.#doors = doors;
    this.#emptiesQueues = emptiesQueues;
  }

  /** On a deployment that runs; `end` leaves it as it was. */
  static async on(aws: LocalAws, { regions: count, control }: { readonly regions: number; readonly control: ControlName | undefined }): Promise<AwsPlace> {
    const regions = aws.regions.slice(0, count);
    const narrow = new Map<string, Server>();
    for (const region of aws.regions) narrow.set(region, await startDoor(0, aws.emulator.url, { host: aws.hostOf(region), links: { areHostile: false }, atOnce: AT_ONCE_MAX }));
    const doorOf = (from: Outside, region: string): number => (from === 'operator' ? Number(new URL(aws.url(region)).port) : portOf(narrow.get(region) as Server));
    const links = await DrillLinks.start(aws.emulator.url, aws.regions, doorOf);
    const doors = new Map(aws.regions.map((region) => [aws.hostOf(region), links.urlOf('edge', region)]));
    const { lat, lon } = regionEntry(asRegionId(regions[0] as string));
    // As CloudFront adds it: clients are where the first region is.
    const viewer = { 'cloudfront-viewer-latitude': String(lat), 'cloudfront-viewer-longitude': String(lon) };
    const front = await startFront(0, { emulatorUrl: aws.emulator.url, distribution: await deployedDistribution(aws.emulator.url), doors, viewer, atOnce: AT_ONCE_MAX });
    const place = new AwsPlace(aws, regions, { links, front, doors: [...narrow.values()], emptiesQueues: emptiesQueues(control) });
    await Promise.all(aws.regions.map((region) => aws.setVariables(region, links.variablesOf(region))));
    // Each function begins anew with them, and one that is cold hears of its peers too late.
    await until('the regions hear each other', async () => (await Promise.all(aws.regions.map((region) => place.#hearsAll(region)))).every(Boolean), READY_MS, ASK_EVERY_MS);
    await Promise.all(aws.regions.map((region) => place.#ready(region)));
    await Promise.all(Array.from({ length: AT_ONCE_MAX }, () => place.#warm()));
    return place;
  }

  #region(role: Role): string {
    return this.regions[ROLES.indexOf(role)] as string;
  }

  // Steps -------------------------------------------------------------------------------------------------------------------

  async do(action: PlaceAction): Promise<void> {
    switch (action.verb) {
      case 'kill':
        this.#links.setDoors(this.#region(action.region), { cut: true });
        return this.#takeAway(this.#region(action.region), true);
      case 'stop':
      case 'pause':
        return this.#takeAway(this.#region(action.region), false);
      case 'start':
      case 'resume':
        return this.#bringBack(this.#region(action.region));
      case 'isolate':
        return this.#links.around(this.#region(action.region), { cut: true }, UNTOUCHED);
      case 'cut-edge':
        return this.#links.set('edge', this.#region(action.region), { cut: true });
      case 'slow':
        return this.#links.around(this.#region(action.region), { delayMs: action.byMs }, UNTOUCHED);
      case 'cut':
      case 'cut-one-way':
        this.#links.set(this.#region(action.from), this.#region(action.to), { cut: true });
        if (action.verb === 'cut') this.#links.set(this.#region(action.to), this.#region(action.from), { cut: true });
        return;
      case 'slow-link':
        this.#links.set(this.#region(action.from), this.#region(action.to), { delayMs: action.byMs });
        return this.#links.set(this.#region(action.to), this.#region(action.from), { delayMs: action.byMs });
      case 'kill-edge':
        return void this.#aws.emulator.killWorkers(names.edge(DEPLOYMENT));
      case 'heal':
        return this.#heal();
      default:
        throw new TypeError(`There is no ${action.verb} on aws-local.`); // refused before (src/drill/on-aws.ts)
    }
  }

  /** In the order in which it must not be seen half done: nobody is answered, then nothing goes on by itself. */
  async #takeAway(region: string, isKill: boolean): Promise<void> {
    this.#away.add(region);
    const kill = (): void => void (isKill && this.#aws.killAll(region));
    kill();
    await this.#aws.setFunctions(region, false);
    kill(); // what had begun meanwhile
    await this.#aws.setDelivery(region, false);
  }

  async #bringBack(region: string): Promise<void> {
    if (this.#emptiesQueues) await this.#aws.purgeBetween();
    await Promise.all([this.#aws.setDelivery(region, true), this.#aws.setFunctions(region, true)]);
    this.#away.delete(region);
    this.#links.setDoors(region, {});
    await this.#ready(region);
  }

  /** The doors of one that was killed stay shut. */
  async #heal(): Promise<void> {
    if (this.#emptiesQueues) await this.#aws.purgeBetween();
    this.#links.healAll();
    for (const region of this.#away) this.#links.setDoors(region, { cut: true });
  }

  async #ready(region: string): Promise<void> {
    await until(`${region} answers`, () => this.#operator(region).replication({ timeoutMs: OPERATOR_MS }).then(() => true, () => false), READY_MS, 100);
  }

  /** As many environments as the load will have: a drill measures what is lost, not how long they take to begin. */
  async #warm(): Promise<void> {
    const headers = { authorization: `Bearer ${this.#aws.key}` };
    for (const url of [`http://127.0.0.1:${portOf(this.#front)}`, ...this.regions.map((region) => this.#links.urlOf('client', region)), `http://127.0.0.1:${portOf(this.#front)}`]) {
      await ask(url, '/v1/c/demo/items/nothing', { headers, timeoutMs: OPERATOR_MS }).catch(() => undefined);
    }
  }

  async #hearsAll(region: string): Promise<boolean> {
    const { peers } = (await this.#aws.invoke('heartbeat', region, {})) as HeartbeatResult;
    return Object.values(peers).every((state) => state === 'up');
  }

  async healAll(): Promise<void> {
    this.#links.healAll();
    await Promise.all([...this.#away].map((region) => this.#bringBack(region)));
  }

  // Looking -----------------------------------------------------------------------------------------------------------------

  client(at: 'edge' | Role, others: readonly Role[] = []): Client {
    const urlOf = (role: Role): string => this.#links.urlOf('client', this.#region(role));
    return this.#connected(at === 'edge' ? `http://127.0.0.1:${portOf(this.#front)}` : urlOf(at), others.map(urlOf));
  }

  clientBesideEdge(role: Role): Client {
    return this.#connected(this.#links.urlOf('edge', this.#region(role)));
  }

  #connected(url: string, others: readonly string[] = []): Client {
    const client = connect({ url, others, key: this.#aws.key, keysIn: 'path' });
    this.#clients.push(client);
    return client;
  }

  #operator(region: string): Client {
    const known = this.#operators.get(region) ?? connect({ url: this.#links.urlOf('operator', region), key: this.#aws.key, timeoutMs: OPERATOR_MS });
    this.#operators.set(region, known);
    return known;
  }

  /** Always asked anew: what a region acknowledges behind the question counts on top. */
  #ask(region: string): Promise<Replication> {
    const answer = this.#operator(region).replication({ timeoutMs: this.answerMs });
    this.#replication.set(region, { atMs: patientClock.monotonicMs(), answer });
    return answer;
  }

  async owed(role: Role): Promise<ReadonlyMap<string, number>> {
    const { peers } = await this.#ask(this.#region(role));
    return new Map(peers.map(({ id, unreplicatedItems }) => [id, unreplicatedItems]));
  }

  async kept(role: Role): Promise<Kept> {
    const known = this.#replication.get(this.#region(role));
    return keptIn(await (known !== undefined && patientClock.monotonicMs() - known.atMs < FRESH_MS ? known.answer : this.#ask(this.#region(role))));
  }

  certificates(role: Role): Promise<readonly Certificate[]> {
    return this.#operator(this.#region(role)).certificates();
  }

  view(role: Role, collection: string): Promise<View> {
    return readView(this.#operator(this.#region(role)), this.#region(role), collection);
  }

  isQuiet(): Promise<boolean> {
    return isQuietAt(this.regions.map((id) => this.#operator(id)));
  }

  /** The last one has been compared with by all others: each comparison reads two whole copies. */
  reconcile(): Promise<string | undefined> {
    return comparison(this.regions.slice(0, -1).map((id) => this.#operator(id)), () => pause(patientClock, ASK_EVERY_MS));
  }

  async end(): Promise<void> {
    await this.healAll().catch(() => undefined);
    for (const client of [...this.#clients, ...this.#operators.values()]) client.close();
    for (const server of [this.#front, ...this.#doors]) {
      server.closeAllConnections();
      server.close();
    }
    await Promise.all(this.#aws.regions.map((region) => this.#aws.setVariables(region, {}).catch(() => undefined)));
    await this.#links.end();
  }
}

/** As `AwsPlaces` says it. */
export const startAwsPlace: AwsPlaces['startAwsPlace'] = async ({ regions, control }, say) => {
  const folder = mkdtempSync(join(tmpdir(), 'archipel-drill-aws-'));
  const removed = (): void => rmSync(folder, { recursive: true, force: true });
  const port = await freePorts(regions + 2);
  try {
    const aws = await LocalAws.start({ regions: String(regions), port, emulatorPort: port + regions + 1, folder, say });
    const place = await AwsPlace.on(aws, { regions, control }).catch(async (error: unknown) => {
      await aws.stop();
      throw error;
    });
    const end = place.end.bind(place);
    return Object.assign(place, {
      end: async (): Promise<void> => {
        await end();
        await aws.stop();
        removed();
      },
    });
  } catch (error) {
    removed();
    throw error instanceof Unavailable ? new ArchipelError('bad-request', error.message, {}, error) : error;
  }
};

/** A drill on a deployment that runs, after others perhaps: values say which run wrote them. It is left as it was, but for what its queues lost. */
export async function drillOn(aws: LocalAws, drill: Drill, parts: Pick<RunParts, 'control' | 'onEvent'> = {}): Promise<DrillReport> {
  const place = await AwsPlace.on(aws, { regions: drill.regions, control: parts.control });
  try {
    const scaled = scaledForAws(drill);
    return await runDrill(scaled.drill, place, { clock: patientClock, random: nodeRandom, name: `${toHex(nodeRandom.bytes(4))}-`, remarks: scaled.remarks, ...parts });
  } finally {
    await place.end();
  }
}
