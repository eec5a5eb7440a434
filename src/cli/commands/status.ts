// `status`: what every region says of itself and of its peers, and the last proofs that they agree.

import type { Command } from 'commander';
import type { Certificate, Replication, Topology } from '../../client/types.ts';
import { cityOf } from '../../config/places.ts';
import { isArchipelError } from '../../core/errors.ts';
import { CAUGHT_UP_LAG_MS } from '../../core/limits.ts';
import type { RegionId } from '../../core/version/dot.ts';
import { EXIT, EXIT_CODES_HELP } from '../exit.ts';
import { showName } from '../keys.ts';
import { ago, count, duration, table, type Style } from '../output.ts';
import { withConnection, withSession, type ConnectionFlags, type Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';

/** A region that does not answer within this is shown as such. */
const ASK_MS = 2_000;

export interface RegionStatus {
  readonly id: string;
  readonly city?: string | undefined;
  readonly url?: string | undefined;
  /** What the topology says. */
  readonly state: string;
  /** Why it did not answer. */
  readonly error?: string;
  readonly replication?: Replication;
  readonly certificates: readonly Certificate[];
}

export interface ClusterStatus {
  readonly topology: Pick<Topology, 'term' | 'epoch' | 'partitions'>;
  /** Why what stands before the regions did not answer. */
  readonly front?: string;
  readonly regions: readonly RegionStatus[];
  /** The newest of each pair. */
  readonly certificates: readonly Certificate[];
  /** What is not as it should be, one sentence each. */
  readonly faults: readonly string[];
}

export function addStatus(program: Command, terminal: Terminal): void {
  const command = program.command('status').description('show regions, live RPO and lag per peer, clocks, and the last certificates');
  command.option('--hot', 'and the items that each region reads and writes most');
  withConnection(command, { region: false })
    .addHelpText('after', `
"Unreplicated" is the live RPO: how many items a loss of the region, now, would lose at that peer.
The exit code is 2 when something is not as it should be: a region that does not answer or does not serve, a peer that is down or
behind, a clock that is not safe, a message that could not be handled. Paused replication is shown, but is nobody's fault.

Examples:
  archipel status
  archipel status --hot
  archipel status --json | jq '[.regions[].replication.peers[].unreplicatedItems] | add'
${EXIT_CODES_HELP}`)
    .action((flags: ConnectionFlags & { readonly hot?: boolean }) =>
      withSession(terminal, flags, async (session) => {
        const status = await statusOf(session);
        await (session.isJson ? session.json({ healthy: status.faults.length === 0, ...status }) : show(session, status, flags.hot === true));
        return status.faults.length === 0 ? EXIT.done : EXIT.no;
      }),
    );
}

export async function statusOf(session: Session): Promise<ClusterStatus> {
  const [front, { term, epoch, partitions, regions: entries }] = await Promise.all([frontError(session), session.topology()]);
  const regions = await Promise.all(entries.map((entry) => regionStatus(session, entry)));
  return {
    topology: { term, epoch, partitions },
    ...(front === undefined ? {} : { front }),
    regions,
    certificates: newestPerPair(regions.flatMap(({ certificates }) => certificates)),
    faults: [...(front === undefined ? [] : [front]), ...regions.flatMap(faultsOf)],
  };
}

/** The edge, whose death the regions do not notice. */
const frontError = (session: Session): Promise<string | undefined> =>
  session.front.collections({ timeoutMs: ASK_MS }).then(
    () => undefined,
    (error: unknown) => (isArchipelError(error) && error.code === 'no-region-available' ? `The edge does not answer: ${error.message}` : undefined),
  );

async function regionStatus(session: Session, { id, url, state }: Topology['regions'][number]): Promise<RegionStatus> {
  const base = { id, city: cityOf(id as RegionId), url, state };
  try {
    const client = await session.at(id);
    const [replication, certificates] = await Promise.all([client.replication({ timeoutMs: ASK_MS }), client.certificates({ timeoutMs: ASK_MS })]);
    return { ...base, replication, certificates };
  } catch (error) {
    if (!isArchipelError(error) || error.code === 'unauthenticated' || error.code === 'forbidden') throw error;
    return { ...base, error: error.message, certificates: [] };
  }
}

function newestPerPair(certificates: readonly Certificate[]): readonly Certificate[] {
  const newest = new Map<string, Certificate>();
  for (const certificate of certificates) {
    const pair = certificate.regions.join(' ');
    const known = newest.get(pair);
    if (known === undefined || known.at < certificate.at) newest.set(pair, certificate);
  }
  return [...newest].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, certificate]) => certificate);
}

function faultsOf({ id, error, replication }: RegionStatus): string[] {
  if (replication === undefined) return [`${id} does not answer: ${error ?? 'nobody knows why'}`];
  const { clock, phase, peers, dataPath, ownLagMs = 0 } = replication;
  return [
    ...(phase === 'serving' ? [] : [`${id} is ${phase}.`]),
    ...(clock === 'safe' ? [] : [`The clock of ${id} is ${clock}.`]),
    ...(dataPath === 'silent' ? [`A read or a write of ${id} does not come to an end: its disk, or what it stands on.`] : []),
    ...(phase === 'serving' && ownLagMs > CAUGHT_UP_LAG_MS ? [`${id} has not caught up with its peers: the oldest change that it lacks is ${duration(ownLagMs)} old.`] : []),
    ...peers.flatMap((peer) => [
      ...(peer.verdict === 'down' ? [`${id} takes ${peer.id} for down, as ${peer.suspectedBy?.join(' and ') ?? 'others'} do.`] : []),
      ...(peer.state === 'down' || peer.breaker === 'open' ? [`${id} does not reach ${peer.id}.`] : []),
      ...(peer.behind > 0 ? [`${peer.id} is behind ${id}: more waits for it than is remembered, a reconciliation repairs that.`] : []),
      ...(peer.dead > 0 ? [`${id} has ${peer.dead} messages of ${peer.id} that it could not handle.`] : []),
    ]),
  ];
}

// Showing ---------------------------------------------------------------------------------------------------------------------

const RIGHT = { right: true } as const;

async function show(session: Session, status: ClusterStatus, isHotShown: boolean): Promise<void> {
  const { style } = session;
  const { out } = session.terminal;
  const { term, epoch } = status.topology;
  await session.line(`${style.bold('Regions')}${style.dim(`  topology ${term}.${epoch}`)}`);
  const columns = [{ title: 'region' }, { title: 'city' }, { title: 'state' }, { title: 'phase' }, { title: 'clock' }, { title: 'items', ...RIGHT }, { title: 'address' }];
  await out.write(table(columns, status.regions.map((region) => regionRow(region, style)), style));
  await session.line();
  await session.line(`${style.bold('Replication')}${style.dim('  what a loss of the region on the left, now, would lose at the one on the right')}`);
  await out.write(table(LINK_COLUMNS, status.regions.flatMap((region) => linkRows(region, style)), style));
  await session.line();
  await session.line(`${style.bold('Certificates')}${style.dim('  the last proof that two regions agree')}`);
  if (status.certificates.length === 0) await session.line(style.dim('  none yet: archipel reconcile makes them'));
  else await out.write(table(CERTIFICATE_COLUMNS, status.certificates.map((certificate) => certificateRow(certificate, style)), style));
  await showReaping(session, status);
  if (isHotShown) await showHot(session, status);
  if (status.faults.length === 0) return;
  await session.line();
  for (const fault of status.faults) await session.line(`  ${style.bad('!')} ${fault}`);
}

async function showHot(session: Session, { regions }: ClusterStatus): Promise<void> {
  const { style } = session;
  await session.line();
  await session.line(`${style.bold('Hot items')}${style.dim('  of the requests that a region answered lately, by a sample')}`);
  const rows = regions.flatMap(({ id, replication }) => (replication?.hot ?? []).filter(({ share }) => share >= HOT_SHARE_MIN).map(({ collection, share, ...key }) => [id, collection, showName(key), `${(share * 100).toFixed(1)} %`]));
  if (rows.length === 0) await session.line(style.dim('  none: no item has one request in a hundred'));
  else await session.terminal.out.write(table([{ title: 'region' }, { title: 'collection' }, { title: 'item' }, { title: 'share', ...RIGHT }], rows, style));
}

/** Below it a key is one of many. */
const HOT_SHARE_MIN = 0.01;

/** What was deleted and forgotten for good; nothing, where nothing was. */
async function showReaping(session: Session, { regions }: ClusterStatus): Promise<void> {
  const { style, terminal } = session;
  const rows = regions.flatMap(({ id, replication }): string[][] => {
    const { reaping, late } = replication ?? {};
    if (reaping === undefined || late === undefined) return []; // a region of an earlier release does not tell
    const counts = [reaping.proposed, reaping.refused, reaping.reaped, late.asked, late.kept, late.dropped, late.ledgered, late.held];
    return counts.every((each) => each === 0) ? [] : [[id, ...counts.map(count)]];
  });
  if (rows.length === 0) return;
  await session.line();
  await session.line(`${style.bold('Reaping')}${style.dim('  tombstones forgotten since the start, and values that came after that')}`);
  await terminal.out.write(table(REAPING_COLUMNS, rows, style));
}

const REAPING_COLUMNS = [{ title: 'region' }, ...['proposed', 'refused', 'reaped', 'late asked', 'kept', 'dropped', 'to the ledger', 'held'].map((title) => ({ title, ...RIGHT }))];

function regionRow({ id, city, url, state, replication }: RegionStatus, style: Style): string[] {
  const items = Object.values(replication?.items ?? {}).reduce((sum, each) => sum + each, 0);
  const phase = replication === undefined ? style.bad('no answer') : replication.phase === 'serving' ? style.good('serving') : style.warn(replication.phase);
  const clock = replication === undefined ? '' : replication.clock === 'safe' ? 'safe' : style.bad(replication.clock);
  return [id, city ?? '', state, phase, clock, replication === undefined ? '' : count(items), url ?? ''];
}

const LINK_COLUMNS = [{ title: 'from' }, { title: 'to' }, { title: 'link' }, { title: 'unreplicated', ...RIGHT }, { title: 'oldest', ...RIGHT }, { title: 'lag p50', ...RIGHT }, { title: 'p99', ...RIGHT }, { title: 'hints', ...RIGHT }, { title: 'dead', ...RIGHT }, { title: 'seen as' }];

function linkRows({ id, replication }: RegionStatus, style: Style): string[][] {
  const link: Readonly<Record<string, (text: string) => string>> = { up: style.good, paused: style.warn };
  return (replication?.peers ?? []).map(({ id: peer, state, verdict, unreplicatedItems, exact, oldestMs, lagMs, hints, dead }) => [
    id,
    peer,
    (link[state] ?? style.bad)(state),
    `${exact ? '' : '≤ '}${count(unreplicatedItems)}`,
    unreplicatedItems === 0 ? '' : duration(oldestMs),
    lagMs.count === 0 ? '' : duration(lagMs.p50),
    lagMs.count === 0 ? '' : duration(lagMs.p99),
    hints === 0 ? '' : count(hints),
    dead === 0 ? '' : style.bad(count(dead)),
    seenAs(verdict, style),
  ]);
}

/** A region of an earlier release does not tell. */
export const seenAs = (verdict: string | undefined, style: Style): string => (verdict === undefined ? '' : verdict === 'alive' ? verdict : verdict === 'suspect' ? style.warn(verdict) : style.bad(verdict));

const CERTIFICATE_COLUMNS = [{ title: 'regions' }, { title: 'proved' }, { title: 'partitions', ...RIGHT }, { title: 'check' }, { title: 'digest' }];

function certificateRow({ regions, at, groups, deep, digest }: Certificate, style: Style): string[] {
  const partitions = groups.reduce((sum, each) => sum + each.partitions, 0);
  return [regions.join(' = '), ago(at, Date.now()), count(partitions), deep ? 'deep' : 'digests', style.dim(digest)];
}
