// `edge` and `witness`: the processes of a cluster that hold no data.

import type { Command } from 'commander';
import { JsonLog } from '../../adapters/node/log.ts';
import { parseAddress, parseAgree, parsePeer, parseWhole } from '../../config/options.ts';
import { regionEntry } from '../../config/places.ts';
import { ArchipelError } from '../../core/errors.ts';
import type { Topology } from '../../core/placement/topology.ts';
import type { RegionId } from '../../core/version/dot.ts';
import { readText, readTopology } from '../../local/files.ts';
import { collect, liveWith, readSecret, ready, tlsOf, urlOf, type TlsFlags } from '../running.ts';
import type { Terminal } from '../terminal.ts';

interface EdgeFlags extends TlsFlags {
  readonly listen: string;
  readonly region: readonly string[];
  readonly topology?: string;
  readonly secretFile?: string;
  readonly hedgeMs?: string;
  readonly observersAgree?: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

export function addEdge(program: Command, terminal: Terminal): void {
  program
    .command('edge')
    .description('run the edge: sends each request to the nearest region that holds its key')
    .requiredOption('--listen <host:port>', 'where it listens')
    .option('--region <region=url>', 'a region and its address; may be repeated', collect, [])
    .option('--topology <file>', 'the topology document (default: the regions given)')
    .option('--secret-file <file>', 'the secret of the regions: with it the edge tells them which of them it hears')
    .option('--hedge-ms <n>', 'ask the next region too for a read that is not answered for so long; the first answer counts (default: never)')
    .option('--observers-agree <n>', 'a region is down when so many observers have not heard it: regions, edges, a witness (default: 2)')
    .option('--tls-cert <file>', 'serve HTTPS with this certificate (PEM)')
    .option('--tls-key <file>', 'and this key')
    .option('--verbose', 'log more')
    .option('--json', 'one line of JSON when ready')
    .addHelpText('after', `
Needs no key: it passes Authorization on. With --secret-file it is an observer: of two regions, one that died is then down by the
word of the other and of the edge; without, neither can tell the other's death from a bad link.

Examples:
  archipel edge --listen 127.0.0.1:7400 --region eu-central-1=http://127.0.0.1:7402 --region us-east-1=http://127.0.0.1:7403

Exit codes: 0 stopped by Ctrl-C or SIGTERM; 1 could not start`)
    .action(async (flags: EdgeFlags) => runEdge(flags, terminal));
}

function regionsGiven(given: readonly string[]): ReadonlyMap<RegionId, string> {
  const regions = new Map(given.map(parsePeer));
  if (regions.size === 0) throw new ArchipelError('bad-request', 'Give at least one --region id=url.');
  if (regions.size < given.length) throw new ArchipelError('bad-request', 'Each --region is another one, named once.');
  return regions;
}

async function runEdge(flags: EdgeFlags, terminal: Terminal): Promise<void> {
  const { host, port } = parseAddress(flags.listen);
  const regions = regionsGiven(flags.region);
  const ids = [...regions.keys()];
  const topology: Topology = flags.topology === undefined ? { format: 1, term: 1, epoch: 1, control: ids[0] as RegionId, regions: ids.map((id) => regionEntry(id)) } : readTopology(flags.topology);
  const { startEdge } = await import('../../local/edge.ts');
  const running = await startEdge({ host, port, topology, regions, tls: tlsOf(flags), secret: flags.secretFile === undefined ? undefined : readSecret(flags.secretFile), hedgeMs: flags.hedgeMs === undefined ? undefined : parseWhole('--hedge-ms', flags.hedgeMs, 1, 60_000), observersAgree: parseAgree(flags.observersAgree), log: new JsonLog({ edge: true }, flags.verbose === true ? 'debug' : 'error') });
  const url = urlOf(flags, host, running.port);
  await ready(terminal, flags, { url, pid: process.pid }, `The edge answers on ${url}`);
  liveWith(terminal.parent, () => running.stop());
}

// witness ------------------------------------------------------------------------------------------------------------------------

interface WitnessFlags {
  readonly region: readonly string[];
  readonly secretFile: string;
  readonly ca?: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

export function addWitness(program: Command, terminal: Terminal): void {
  program
    .command('witness')
    .description('watch the regions from a place of its own, without data: a voice more on which of them is down')
    .option('--region <region=url>', 'a region and its address; may be repeated', collect, [])
    .requiredOption('--secret-file <file>', 'the secret that all regions of the cluster share')
    .option('--ca <file>', 'trust this certificate of the regions (PEM)')
    .option('--verbose', 'log more')
    .option('--json', 'one line of JSON when ready')
    .addHelpText('after', `
A region is down when two observers agree: regions, an edge, a witness. Two regions with neither can only suspect each other. A
witness asks every region twice a second and tells it which ones it hears; it listens nowhere, and losing it loses nothing. It is of
use where it is not lost together with a region: in a third place.

Examples:
  archipel witness --region eu-central-1=http://127.0.0.1:7402 --region us-east-1=http://127.0.0.1:7403 --secret-file ./secret

Exit codes: 0 stopped by Ctrl-C or SIGTERM; 1 could not start`)
    .action(async (flags: WitnessFlags) => runWitness(flags, terminal));
}

async function runWitness(flags: WitnessFlags, terminal: Terminal): Promise<void> {
  const regions = regionsGiven(flags.region);
  const secret = readSecret(flags.secretFile);
  const ca = flags.ca === undefined ? undefined : readText(flags.ca);
  const { startWitness } = await import('../../local/witness.ts');
  const witness = startWitness({ regions, secret, ca, log: new JsonLog({ witness: true }, flags.verbose === true ? 'debug' : 'warn') });
  await ready(terminal, flags, { observer: witness.id, pid: process.pid }, `Watches ${[...regions.keys()].join(', ')} as ${witness.id}`);
  liveWith(terminal.parent, () => Promise.resolve(witness.stop()));
}
