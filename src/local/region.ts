// One region as a process of its own: composes store, engine and HTTP.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { drawIncarnation, identify, noteCleanStop, noteRecovered } from '../adapters/level/identity.ts';
import { LevelDeadLetters, LevelQueue } from '../adapters/level/queue.ts';
import { LevelStore, type Durability } from '../adapters/level/store.ts';
import { LevelTable } from '../adapters/level/table.ts';
import { NodeClock } from '../adapters/node/clock.ts';
import { deriveKey, hmacSha256, nodeRandom, sha256 } from '../adapters/node/crypto.ts';
import { HttpClient } from '../adapters/node/http-client.ts';
import { HttpPeer, Nonces } from '../adapters/node/http-peer.ts';
import { ContextTokens } from '../auth/context-tokens.ts';
import { KeyRing } from '../auth/keys.ts';
import { Signer, Verifier } from '../auth/signature.ts';
import { toHex, utf8, utf8Text } from '../core/bytes.ts';
import { PARTITIONS } from '../core/limits.ts';
import type { Topology } from '../core/placement/topology.ts';
import type { RegionId } from '../core/version/dot.ts';
import { KEYS } from '../engine/catalog.ts';
import { LIMITS } from '../engine/limits.ts';
import { Region } from '../engine/region.ts';
import { byField, counter, type Metric } from '../http/openmetrics.ts';
import { addPeerRoutes } from '../http/peer-routes.ts';
import { createRegionApp } from '../http/region-app.ts';
import type { Log } from '../ports/log.ts';
import type { Table } from '../ports/table.ts';
import { ensureFolder, installedDocs, readOrMake, readText } from './files.ts';
import { assertFree, serve, type RunningServer } from './http-server.ts';
import { observerSigner } from './observer.ts';

export interface RegionOptions {
  readonly id: RegionId;
  readonly host: string;
  readonly port: number;
  readonly data: string;
  readonly topology: Topology;
  readonly peers: ReadonlyMap<RegionId, string>;
  /** Shared by all regions. A region alone makes its own: what it seals (contexts, cursors) is not for others to forge either. */
  readonly secret: string | undefined;
  readonly adminKey: string | undefined;
  readonly noAuth: boolean;
  readonly defaultReplicas: number;
  readonly durability: Durability;
  readonly reconcileEveryMs: number | undefined;
  /** How many observers make a region down; undefined: two. */
  readonly observersAgree?: number | undefined;
  readonly clockOffsetFile: string | undefined;
  /** For tests. */
  readonly graceMs?: number | undefined;
  readonly horizonMs?: number | undefined;
  readonly hintsMax?: number | undefined;
  /** How much room the disk has, as this file says; what the system says, where there is none. */
  readonly freeBytesFile?: string | undefined;
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly log: Log;
}

export interface RunningRegion {
  readonly region: Region;
  readonly port: number;
  stop(): Promise<void>;
}

export async function startRegion(options: RegionOptions): Promise<RunningRegion> {
  const { id, log, durability } = options;
  await assertFree(options.host, options.port);
  const clock = offsetClock(options.clockOffsetFile, log);
  ensureFolder(options.data);
  const folder = join(options.data, 'db');
  ensureFolder(folder);
  const { freeBytesFile, hintsMax } = options;
  const store = await LevelStore.open({ folder, durability, clock, log, ...(freeBytesFile === undefined ? {} : { freeBytes: () => (existsSync(freeBytesFile) ? Number(readText(freeBytesFile)) : undefined) }) });
  const secret = utf8(options.secret ?? readOrMake(join(options.data, 'secret'), () => toHex(nodeRandom.bytes(32))).content);
  const digestHash = hmacSha256(deriveKey(secret, 'digest'));
  const table = await LevelTable.open(store, digestHash);
  const identity = await identify(options.data, table, nodeRandom, durability);
  log.write('info', 'region.identity', { ...identity });

  const signer = new Signer(hmacSha256(deriveKey(secret, 'signature')), sha256);
  const verifier = new Verifier(signer, clock.wallMs());
  const observing = observerSigner(secret);
  const observers = { signer: observing, verifier: new Verifier(observing, clock.wallMs()) };
  const nonces = new Nonces(nodeRandom);
  const clients = new Map([...options.peers].map(([peer, url]) => [peer, new HttpClient(url, { ca: options.tls?.cert, sockets: 16 })]));
  const peers = [...clients].map(([peer, client]) => new HttpPeer(peer, { self: id, client, signer, clock, nonces }));
  const hints = new Map(await Promise.all([...clients.keys()].map(async (peer) => [peer, await LevelQueue.open(store, clock, `hints ${peer}`)] as const)));
  const letters = new Map(await Promise.all([...clients.keys()].map(async (peer) => [peer, await LevelDeadLetters.open(store, peer)] as const)));

  const region = new Region({
    id,
    incarnation: identity.incarnation,
    isNew: identity.isNew,
    isDrawn: identity.origin !== 'same',
    drawIncarnation: async () => (await drawIncarnation(options.data, table, nodeRandom)).incarnation,
    recovered: () => noteRecovered(table),
    topology: options.topology,
    table,
    changes: table.changes,
    peers,
    hints: (peer) => hints.get(peer) as LevelQueue,
    deadLetters: (peer) => letters.get(peer) as LevelDeadLetters,
    clock,
    random: nodeRandom,
    log,
    hash: sha256,
    digestHash,
    reconcileEveryMs: options.reconcileEveryMs,
    observersAgree: options.observersAgree,
    ...(options.graceMs === undefined ? {} : { graceMs: options.graceMs }),
    ...(options.horizonMs === undefined ? {} : { horizonMs: options.horizonMs }),
    ...(hintsMax === undefined ? {} : { limits: { ...LIMITS, hintsPerPeer: hintsMax } }),
  });

  const keys = new KeyRing(sha256, options.adminKey);
  await loadKeys(region, table, keys);
  const { app, direct } = createRegionApp({
    region,
    keys,
    tokens: new ContextTokens([hmacSha256(deriveKey(secret, 'context'))]),
    noAuth: options.noAuth,
    defaultReplicas: options.defaultReplicas,
    log,
    docs: installedDocs(),
    moreMetrics: () => storeMetrics(store, verifier),
  });
  addPeerRoutes(app, { door: region.door, signer, verifier, observers, observe: (observer, question) => region.health.observe(observer, question), wallMs: () => clock.wallMs(), region: id, newRequestId: () => toHex(nodeRandom.bytes(8)) });

  const { ready } = await region.start();
  const server: RunningServer = await serve(app, { host: options.host, port: options.port, place: id, tls: options.tls, direct, isAlone: options.peers.size === 0 });
  await ready;
  return {
    region,
    port: server.port,
    stop: async () => {
      await server.close();
      await region.stop();
      for (const client of clients.values()) client.close();
      await noteCleanStop(table).finally(() => table.close());
    },
  };
}

/** The wall clock moved by the milliseconds in a file, read again on SIGHUP: a tool for tests. */
function offsetClock(file: string | undefined, log: Log): NodeClock {
  const clock = new NodeClock();
  if (file === undefined) return clock;
  const read = (): void => {
    const offset = Number(readText(file) || '0');
    if (Number.isFinite(offset)) clock.offsetMs = offset;
  };
  read();
  process.on('SIGHUP', () => {
    try {
      read();
    } catch (error) {
      log.write('error', 'clock-offset.not-read', { error: String(error) });
    }
  });
  return clock;
}

/** The ring mirrors `_keys`: read once, then kept up to date by the change log. */
async function loadKeys(region: Region, table: Table, keys: KeyRing): Promise<void> {
  const { systemGroup } = region.catalog;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const page = await table.scan({ group: systemGroup, partition, limit: 1_000_000, bytesMax: Number.MAX_SAFE_INTEGER });
    for (const { key, record } of page.items) if (key.collection === KEYS) keys.learn(utf8Text(key.pk) ?? '', record.state);
  }
  region.onSystemChange((collection, pk, state) => {
    if (collection === KEYS) keys.learn(utf8Text(pk) ?? '', state);
  });
}

function storeMetrics(store: LevelStore, verifier: Verifier): Metric[] {
  return [
    counter('store', 'Group commits, the writes in them, failures, recoveries.', byField('what', store.stats)),
    counter('signatures_refused', 'Messages between regions that were not authentic, not of now, or received before.', byField('why', verifier.stats)),
  ];
}
