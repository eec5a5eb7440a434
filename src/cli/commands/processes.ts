// `up` and `region`: the processes of a cluster.

import { resolve } from 'node:path';
import type { Command } from 'commander';
import { sha256 } from '../../adapters/node/crypto.ts';
import { JsonLog } from '../../adapters/node/log.ts';
import { KeyRing } from '../../auth/keys.ts';
import { parseAddress, parseAgree, parseDurability, parseEvery, parsePeer, parseRegions, parseWhole, isLoopback, PORT_DEFAULT, REGIONS_MAX } from '../../config/options.ts';
import { cityOf, regionEntry } from '../../config/places.ts';
import { ArchipelError } from '../../core/errors.ts';
import { RECONCILE_EVERY_MS } from '../../core/limits.ts';
import type { Topology } from '../../core/placement/topology.ts';
import { asRegionId, isRegionId, type RegionId } from '../../core/version/dot.ts';
import type { ClusterFile } from '../../local/cluster-file.ts';
import { readText, readTopology, regionsOf } from '../../local/files.ts';
import { shellWord, styleFor } from '../output.ts';
import { collect, liveWith, readSecret, ready, tlsFiles, tlsOf, urlOf, type TlsFlags } from '../running.ts';
import { DATA_DEFAULT } from '../session.ts';
import type { Terminal } from '../terminal.ts';

// up ---------------------------------------------------------------------------------------------------------------------------

const RECONCILE_EVERY = `${RECONCILE_EVERY_MS / 1_000}s`;

interface UpFlags extends TlsFlags {
  readonly data: string;
  readonly port: string;
  readonly regions?: string;
  readonly replicas?: string;
  readonly durability: string;
  readonly auth: boolean;
  readonly restart: boolean;
  readonly reconcileEvery: string;
  readonly observersAgree?: string;
  readonly hedgeMs?: string;
  readonly link: readonly string[];
  readonly unsafeTesting?: boolean;
  readonly clockOffsetDir?: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

export function addUp(program: Command, terminal: Terminal): void {
  program
    .command('up')
    .description('start a whole cluster on this machine: a process per region, and the edge')
    .option('--data <dir>', 'where the regions keep their data', DATA_DEFAULT)
    .option('--port <n>', 'port of the edge; the regions take the ones after it', String(PORT_DEFAULT))
    .option('--regions <n|ids>', 'how many regions, or their ids separated by commas (default: those of the data, or 3)')
    .option('--replicas <n>', 'regions that hold each partition of a new collection (default: all, up to 3)')
    .option('--durability <mode>', 'sync: on disk before a write is acknowledged; relaxed: handed to the system', 'sync')
    .option('--reconcile-every <time|off>', 'how often pairs of regions prove that they agree', RECONCILE_EVERY)
    .option('--hedge-ms <n>', 'of the edge: ask the next region too for a read that is not answered for so long (default: never)')
    .option('--observers-agree <n>', 'a region is down when so many observers have not heard it: regions, edges, a witness (default: 2)')
    .option('--no-restart', 'leave a process dead that dies')
    .option('--verbose', 'log more')
    .option('--json', 'one line of JSON when ready')
    .optionsGroup('Who may:')
    .option('--no-auth', 'take requests without a key (loopback only)')
    .option('--tls-cert <file>', 'serve HTTPS with this certificate (PEM)')
    .option('--tls-key <file>', 'and this key')
    .optionsGroup('For tests:')
    .option('--link <from>to=url>', 'reach a region through a proxy, on one link; may be repeated', collect, [])
    .option('--unsafe-testing', 'allow the options that only tests need')
    .option('--clock-offset-dir <dir>', 'DIR/<region> holds milliseconds to add to its clock')
    .addHelpText('after', `
Listens on 127.0.0.1 only. The first start makes an admin key, shows it once and keeps it in DATA/admin.key; DATA/cluster.json
says, while the cluster runs, where everything is (mode 0600). A process that dies is started again. Ctrl-C stops it all; a
second start finds the data. npm start -- … is the same as archipel up ….

Examples:
  archipel up
  archipel up --data /tmp/try --port 8000 --no-auth
  archipel up --regions 5 --replicas 3
  archipel up --regions eu-central-1,eu-west-1 --json

Exit codes: 0 stopped by Ctrl-C or SIGTERM; 1 could not start`)
    .action(async (flags: UpFlags) => up(flags, terminal));
}

async function up(flags: UpFlags, terminal: Terminal): Promise<void> {
  const data = resolve(flags.data);
  const regions = flags.regions === undefined ? (regionsOf(data) ?? parseRegions('3')) : parseRegions(flags.regions);
  const replicas = flags.replicas === undefined ? Math.min(3, regions.length) : parseWhole('--replicas', flags.replicas, 1, regions.length);
  parseEvery(flags.reconcileEvery);
  if (flags.clockOffsetDir !== undefined && flags.unsafeTesting !== true) throw new ArchipelError('bad-request', '--clock-offset-dir is for tests: it needs --unsafe-testing.');
  const options = {
    data,
    port: parseWhole('--port', flags.port, 1, 65_535 - REGIONS_MAX - 1),
    regions,
    replicas,
    durability: parseDurability(flags.durability),
    noAuth: !flags.auth,
    tls: tlsFiles(flags),
    restart: flags.restart,
    reconcileEvery: flags.reconcileEvery,
    hedgeMs: flags.hedgeMs === undefined ? undefined : parseWhole('--hedge-ms', flags.hedgeMs, 1, 60_000),
    observersAgree: parseAgree(flags.observersAgree),
    links: new Map(flags.link.map((text) => parseLink(text, regions))),
    clockOffsetFolder: flags.clockOffsetDir === undefined ? undefined : resolve(flags.clockOffsetDir),
    verbose: flags.verbose === true,
    log: new JsonLog({ cluster: true }, flags.verbose === true ? 'info' : 'warn'),
  };
  const { startCluster } = await import('../../local/cluster.ts');
  const stopping = new AbortController();
  const starting = startCluster(options, stopping.signal);
  terminal.onInterrupt(() => {
    if (stopping.signal.aborted) return;
    stopping.abort();
    // A start that is interrupted stops what it has started, and fails.
    void starting.then(async (cluster) => {
      await cluster.stop();
      if (terminal.out.isTty && flags.json !== true) await terminal.out.write(`\n  Stopped. The data is in ${flags.data}.\n`);
      process.exit(0);
    }, () => undefined);
  });
  const cluster = await starting;
  if (stopping.signal.aborted) return;
  await terminal.out.write(flags.json === true ? `${JSON.stringify(cluster.file)}\n` : banner(cluster.file, cluster.isFirstStart, flags, terminal));
}

function parseLink(text: string, regions: readonly RegionId[]): readonly [string, string] {
  const match = /^([a-z0-9-]+)>([a-z0-9-]+)=(https?:\/\/\S+)$/.exec(text);
  if (match === null) throw new ArchipelError('bad-request', `--link is from>to=url, not ${JSON.stringify(text)}.`);
  const [, from, to, url] = match as unknown as [string, RegionId, RegionId, string];
  if (from === to || !regions.includes(from) || !regions.includes(to)) throw new ArchipelError('bad-request', `--link is between two of the regions, not "${from}>${to}".`);
  return [`${from}>${to}`, url];
}

function banner(file: ClusterFile, isFirstStart: boolean, flags: UpFlags, terminal: Terminal): string {
  const { bold, dim, accent } = styleFor(terminal.out);
  const key = file.adminKey;
  const keyFile = shellWord(`${flags.data}/admin.key`);
  const auth = key === undefined ? '' : ` -H "Authorization: Bearer ${isFirstStart ? key : `$(cat ${keyFile})`}"`;
  const url = file.edge.url;
  const insecure = url.startsWith('https') ? ` --cacert ${shellWord(file.tlsCert ?? '')}` : '';
  const width = Math.max(...file.regions.map(({ id }) => id.length), 4);
  const place = (id: RegionId): string => (cityOf(id) === undefined ? '' : dim(`  ${cityOf(id)}`));
  const lines = [
    '',
    `  ${bold('Archipel is up.')}`,
    '',
    `  ${'edge'.padEnd(width)}  ${accent(url)}`,
    ...file.regions.map(({ id, url: address }) => `  ${id.padEnd(width)}  ${accent(address)}${place(id)}`),
    `  ${'docs'.padEnd(width)}  ${accent(`${url}/docs`)}`,
    '',
    ...(key === undefined ? ['  No key is asked for (--no-auth).'] : isFirstStart ? [`  Admin key (shown once, kept in ${flags.data}/admin.key):`, `  ${bold(key)}`] : [`  The admin key is in ${flags.data}/admin.key.`]),
    '',
    '  Try:',
    `  curl -i${insecure} -X PUT${auth} -H 'Content-Type: text/plain' -d 'hello' '${url}/v1/c/demo/items/greeting?lat=37.6&lon=127.0'`,
    `  curl -i -w '\\n'${insecure}${auth} '${url}/v1/c/demo/items/greeting?lat=50.1&lon=8.7'`,
    `  curl -s -w '\\n'${insecure}${auth} ${url}/v1/replication`,
    '',
    `  ${dim(`Or, in another terminal: npx archipel demo${flags.data === DATA_DEFAULT ? '' : ` --data ${shellWord(flags.data)}`}`)}`,
    '',
    `  ${dim('Ctrl-C stops it; the data stays.')}`,
    '',
  ];
  return `${lines.join('\n')}\n`;
}

// region -------------------------------------------------------------------------------------------------------------------------

interface RegionFlags extends TlsFlags {
  readonly id: string;
  readonly listen: string;
  readonly data: string;
  readonly peer: readonly string[];
  readonly topology?: string;
  readonly secretFile?: string;
  readonly adminKeyFile?: string;
  readonly auth: boolean;
  readonly replicas?: string;
  readonly durability: string;
  readonly reconcileEvery: string;
  readonly observersAgree?: string;
  readonly unsafeTesting?: boolean;
  readonly clockOffsetFile?: string;
  readonly graceMs?: string;
  readonly horizonMs?: string;
  readonly hintsMax?: string;
  readonly freeBytesFile?: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

export function addRegion(program: Command, terminal: Terminal): void {
  program
    .command('region')
    .description('run one region, as on a machine of its own')
    .requiredOption('--id <region>', 'its name, like eu-central-1')
    .requiredOption('--listen <host:port>', 'where it listens')
    .requiredOption('--data <dir>', 'where it keeps its data')
    .option('--peer <region=url>', 'another region and how this one reaches it; may be repeated', collect, [])
    .option('--topology <file>', 'the topology document (default: this region and its peers)')
    .option('--secret-file <file>', 'the secret that all regions of the cluster share (default, without peers: one of its own)')
    .option('--admin-key-file <file>', 'the admin key')
    .option('--no-auth', 'take requests without a key (loopback only)')
    .option('--replicas <n>', 'regions that hold each partition of a new collection (default: all, up to 3)')
    .option('--durability <mode>', 'sync or relaxed', 'sync')
    .option('--reconcile-every <time|off>', 'how often it proves with its peers that they agree', RECONCILE_EVERY)
    .option('--observers-agree <n>', 'a region is down when so many observers have not heard it: regions, edges, a witness (default: 2)')
    .option('--tls-cert <file>', 'serve HTTPS with this certificate (PEM)')
    .option('--tls-key <file>', 'and this key')
    .option('--verbose', 'log more')
    .option('--json', 'one line of JSON when ready')
    .optionsGroup('For tests:')
    .option('--unsafe-testing', 'allow the options that only tests need')
    .option('--clock-offset-file <file>', 'milliseconds to add to the wall clock; read again on SIGHUP')
    .option('--grace-ms <n>', 'how long a delete stays before it may be reaped')
    .option('--horizon-ms <n>', 'for how long it may be away before it is rebuilt from the others (default: 7 days)')
    .option('--hints-max <n>', 'how many keys it remembers for a peer that is away (default: 1,000,000)')
    .option('--free-bytes-file <file>', 'how much room its disk has, where this file is there')
    .addHelpText('after', `
The addresses of the peers are given, never guessed, so that a proxy can stand on any link. Started by another program with a
channel (as up does), it tells that it is ready there, and ends when that program is gone.

Examples:
  archipel region --id eu-central-1 --listen 127.0.0.1:7402 --data ./eu --secret-file ./secret --admin-key-file ./admin.key \\
    --peer us-east-1=http://127.0.0.1:7403 --peer ap-northeast-2=http://127.0.0.1:7401
  archipel region --id eu-central-1 --listen 127.0.0.1:7402 --data ./eu --no-auth

Exit codes: 0 stopped by Ctrl-C or SIGTERM; 1 could not start`)
    .action(async (flags: RegionFlags) => runRegion(flags, terminal));
}

async function runRegion(flags: RegionFlags, terminal: Terminal): Promise<void> {
  if (!isRegionId(flags.id)) throw new ArchipelError('bad-request', `Not a region id: ${JSON.stringify(flags.id)}.`);
  const id = asRegionId(flags.id);
  const { host, port } = parseAddress(flags.listen);
  const peers = new Map(flags.peer.map(parsePeer));
  if (peers.has(id) || peers.size < flags.peer.length) throw new ArchipelError('bad-request', 'Each --peer is another region, named once.');
  for (const [option, given] of [['--clock-offset-file', flags.clockOffsetFile], ['--grace-ms', flags.graceMs], ['--horizon-ms', flags.horizonMs], ['--hints-max', flags.hintsMax], ['--free-bytes-file', flags.freeBytesFile]] as const) {
    if (given !== undefined && flags.unsafeTesting !== true) throw new ArchipelError('bad-request', `${option} is for tests: it needs --unsafe-testing.`);
  }
  if (!flags.auth && !isLoopback(host)) throw new ArchipelError('bad-request', '--no-auth is for loopback addresses only.');
  if (flags.auth && flags.adminKeyFile === undefined) throw new ArchipelError('bad-request', 'Give --admin-key-file, or --no-auth on loopback.');
  if (peers.size > 0 && flags.secretFile === undefined) throw new ArchipelError('bad-request', 'Regions with peers share a secret: give --secret-file.');
  const topology = flags.topology === undefined ? topologyOf(id, addressOf(flags, host, port), peers) : readTopology(flags.topology);
  if (!topology.regions.some((region) => region.id === id)) throw new ArchipelError('bad-request', `The topology does not list ${id}.`);
  const options = {
    id,
    host,
    port,
    data: resolve(flags.data),
    topology,
    peers,
    secret: flags.secretFile === undefined ? undefined : readSecret(flags.secretFile),
    adminKey: flags.adminKeyFile === undefined ? undefined : readKey(flags.adminKeyFile),
    noAuth: !flags.auth,
    defaultReplicas: flags.replicas === undefined ? Math.min(3, topology.regions.length) : parseWhole('--replicas', flags.replicas, 1, 32),
    durability: parseDurability(flags.durability),
    reconcileEveryMs: parseEvery(flags.reconcileEvery),
    observersAgree: parseAgree(flags.observersAgree),
    clockOffsetFile: flags.clockOffsetFile,
    graceMs: flags.graceMs === undefined ? undefined : parseWhole('--grace-ms', flags.graceMs, 1, 86_400_000),
    hintsMax: flags.hintsMax === undefined ? undefined : parseWhole('--hints-max', flags.hintsMax, 1, 1_000_000),
    freeBytesFile: flags.freeBytesFile,
    horizonMs: flags.horizonMs === undefined ? undefined : parseWhole('--horizon-ms', flags.horizonMs, 1_000, 604_800_000),
    tls: tlsOf(flags),
    log: new JsonLog({ region: id }, flags.verbose === true ? 'debug' : 'warn'),
  };
  const { startRegion } = await import('../../local/region.ts');
  const running = await startRegion(options);
  const url = urlOf(flags, host, running.port);
  await ready(terminal, flags, { id, url, pid: process.pid, data: options.data }, `${id} answers on ${url}`);
  liveWith(terminal.parent, () => running.stop());
}

function readKey(file: string): string {
  const key = readText(file);
  try {
    new KeyRing(sha256, key);
    return key;
  } catch (error) {
    throw new ArchipelError('bad-request', `The file ${file} holds no key of the form ak_<id>_<secret>.`, {}, error);
  }
}

function topologyOf(id: RegionId, own: string | undefined, peers: ReadonlyMap<RegionId, string>): Topology {
  const urls = new Map([...peers, ...(own === undefined ? [] : [[id, own] as const])]);
  const regions = [...new Set([id, ...peers.keys()])].sort();
  return { format: 1, term: 1, epoch: 1, control: regions[0] as RegionId, regions: regions.map((each) => regionEntry(each, urls.get(each))) };
}

/** Where others reach this region; not known when it listens everywhere, or wherever the system likes. */
const addressOf = (flags: TlsFlags, host: string, port: number): string | undefined => (port === 0 || host === '0.0.0.0' || host === '::' ? undefined : urlOf(flags, host, port));
