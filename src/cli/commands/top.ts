// `top`: regions, throughput, live RPO, hints and breakers, of the regions and of the edge, every second, in place.

import type { Command } from 'commander';
import type { Replication } from '../../client/types.ts';
import { patientClock } from '../../client/node.ts';
import { parseDuration, parseWhole } from '../../config/options.ts';
import { pause } from '../../ports/clock.ts';
import { EXIT_CODES_HELP } from '../exit.ts';
import { count, duration, reflowed, table, type Style } from '../output.ts';
import { withConnection, withSession, type ConnectionFlags, type Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { edgeViews, type EdgeView } from './edge-view.ts';
import { seenAs, statusOf, type ClusterStatus, type RegionStatus } from './status.ts';

const HOME = '\x1b[H';
const CLEAR = '\x1b[2J';
const REST_OF_LINE = '\x1b[K';
const REST_OF_SCREEN = '\x1b[J';
/** What is wider than the screen is cut by it: a line that went on in the next one would move all that stands below. */
const [CUT, WRAP] = ['\x1b[?7l', '\x1b[?7h'];
const ASK_MS = 1_000;
const FAULT_INDENT = 4;

interface TopFlags extends ConnectionFlags {
  readonly every: string;
  readonly count?: string;
}

interface Counters {
  readonly atMs: number;
  readonly reads: number;
  readonly writes: number;
}

export interface RegionRates {
  readonly id: string;
  /** A second, since the last look; undefined at the first, and where the region did not answer or was started anew. */
  readonly reads?: number;
  readonly writes?: number;
  /** How long it took to answer. */
  readonly answersMs?: number;
}

export function addTop(program: Command, terminal: Terminal): void {
  const command = program
    .command('top')
    .description('watch regions, throughput, live RPO, hints and breakers, refreshed in place')
    .option('--every <time>', 'how often', '1s')
    .option('--count <n>', 'end after so many looks (default: at Ctrl-C)');
  withConnection(command, { region: false })
    .addHelpText('after', `
Asks every region by itself, so that it also shows what is left when some are gone. Through an edge it shows what of its
traffic each region has from it: all, a share while it comes back, none where its breaker is open or the region is down.
With --json one line for each look.

Examples:
  archipel top
  archipel top --json --count 10 > run.jsonl
${EXIT_CODES_HELP}`)
    .action((flags: TopFlags) =>
      withSession(terminal, flags, async (session) => {
        const everyMs = parseDuration('--every', flags.every);
        const looks = flags.count === undefined ? Number.POSITIVE_INFINITY : parseWhole('--count', flags.count, 1, 1_000_000);
        await watch(session, everyMs, looks);
      }),
    );
}

async function watch(session: Session, everyMs: number, looks: number): Promise<void> {
  const interrupted = new AbortController();
  const takeBack = session.terminal.onInterrupt(() => interrupted.abort());
  const { out } = session.terminal;
  const isScreen = !session.isJson && out.isTty;
  if (isScreen) await out.write(`${CUT}${CLEAR}`);
  try {
    await look(session, { everyMs, looks, signal: interrupted.signal });
  } finally {
    if (isScreen) await out.write(WRAP);
    takeBack();
  }
}

async function look(session: Session, { everyMs, looks, signal }: { readonly everyMs: number; readonly looks: number; readonly signal: AbortSignal }): Promise<void> {
  const { out } = session.terminal;
  let before = new Map<string, Counters>();
  for (let at = 1; at <= looks && !signal.aborted; at++) {
    const startedMs = patientClock.monotonicMs();
    const [status, after, edge] = await Promise.all([statusOf(session), countersOf(session), edgeViews(session, ASK_MS), at === 1 ? undefined : session.renewTopology()]);
    const rates = ratesOf(before, after);
    before = new Map([...before, ...[...after].map(([id, { counters }]) => [id, counters] as const)]);
    if (session.isJson) await session.json({ at: new Date().toISOString(), healthy: status.faults.length === 0, rates, edge, regions: status.regions.map(({ certificates: _, ...region }) => region), faults: status.faults });
    else await out.write(screen({ status, rates, edge }, session.style, out.isTty ? out.columns : undefined));
    if (at < looks) await pause(patientClock, Math.max(0, everyMs - (patientClock.monotonicMs() - startedMs)), signal);
  }
}

async function countersOf(session: Session): Promise<Map<string, { readonly counters: Counters; readonly answersMs: number }>> {
  const found = new Map<string, { readonly counters: Counters; readonly answersMs: number }>();
  const { regions } = await session.topology();
  await Promise.all(
    regions.map(async ({ id }) => {
      const startedMs = patientClock.monotonicMs();
      const text = await (await session.at(id)).metrics({ timeoutMs: ASK_MS }).catch(() => undefined);
      if (text === undefined) return;
      const atMs = patientClock.monotonicMs();
      found.set(id, { counters: { atMs, reads: counterIn(text, 'reads'), writes: counterIn(text, 'writes') }, answersMs: atMs - startedMs });
    }),
  );
  return found;
}

const counterIn = (text: string, what: string): number => Number(new RegExp(`^archipel_requests_total\\{what="${what}"\\} (\\d+)`, 'm').exec(text)?.[1] ?? 0);

function ratesOf(before: ReadonlyMap<string, Counters>, after: ReadonlyMap<string, { readonly counters: Counters; readonly answersMs: number }>): RegionRates[] {
  return [...after].map(([id, { counters, answersMs }]) => {
    const last = before.get(id);
    if (last === undefined || counters.reads < last.reads || counters.writes < last.writes) return { id, answersMs };
    const seconds = Math.max(0.001, (counters.atMs - last.atMs) / 1_000);
    return { id, answersMs, reads: (counters.reads - last.reads) / seconds, writes: (counters.writes - last.writes) / seconds };
  });
}

const RIGHT = { right: true } as const;
const REGION_COLUMNS = [{ title: 'region' }, { title: 'state' }, { title: 'phase' }, { title: 'clock' }];
const EDGE_COLUMN = { title: 'from edge', ...RIGHT };
const RATE_COLUMNS = [{ title: 'reads/s', ...RIGHT }, { title: 'writes/s', ...RIGHT }, { title: 'answers in', ...RIGHT }, { title: 'lags by', ...RIGHT }, { title: 'items', ...RIGHT }];
/** What matters most stands first: the last ones are cut where there are eighty columns. */
const LINK_COLUMNS = [{ title: 'from' }, { title: 'to' }, { title: 'link' }, { title: 'seen as' }, { title: 'breaker' }, { title: 'live RPO', ...RIGHT }, { title: 'oldest', ...RIGHT }, { title: 'hints', ...RIGHT }, { title: 'lag p99', ...RIGHT }, { title: 'dead', ...RIGHT }];

export interface Look {
  readonly status: ClusterStatus;
  readonly rates: readonly RegionRates[];
  /** Empty: no edge is asked, or it does not answer. */
  readonly edge: readonly EdgeView[];
}

/** A screen that is written over line by line, so that nothing flickers; on anything but a terminal, which has columns, one after the other. */
export function screen({ status: { regions, topology, faults }, rates, edge }: Look, style: Style, columns: number | undefined): string {
  const of = new Map(rates.map((each) => [each.id, each]));
  const fromEdge = new Map(edge.map((view) => [view.id, traffic(view, style)]));
  const titles = [...REGION_COLUMNS, ...(edge.length === 0 ? [] : [EDGE_COLUMN]), ...RATE_COLUMNS];
  const text = [
    `${style.bold('archipel top')}  document ${topology.term}.${topology.epoch}  ${faults.length === 0 ? style.good('all is well') : style.bad(`${faults.length} not as it should be`)}`,
    '',
    table(titles, regions.map((region) => regionRow(region, { rates: of.get(region.id), fromEdge: edge.length === 0 ? [] : [fromEdge.get(region.id) ?? ''] }, style)), style),
    table(LINK_COLUMNS, regions.flatMap((region) => linkRows(region, style)), style),
    ...faults.map((fault) => `  ${style.bad('!')} ${(columns === undefined ? fault : reflowed(fault, columns - FAULT_INDENT)).replaceAll('\n', `\n${' '.repeat(FAULT_INDENT)}`)}`),
    '',
  ].join('\n');
  return columns !== undefined ? `${HOME}${text.replaceAll('\n', `${REST_OF_LINE}\n`)}${REST_OF_SCREEN}` : `${text}\n`;
}

const traffic = ({ breaker, down, share }: EdgeView, style: Style): string => (down ? style.bad('down') : breaker === 'open' ? style.bad('breaker open') : share === 1 ? 'all' : style.warn(`${Math.floor(share * 100)} %`));

function regionRow({ id, state, replication }: RegionStatus, { rates, fromEdge }: { readonly rates: RegionRates | undefined; readonly fromEdge: readonly string[] }, style: Style): string[] {
  const items = Object.values(replication?.items ?? {}).reduce((sum, each) => sum + each, 0);
  const phase = replication === undefined ? style.bad('no answer') : replication.phase === 'serving' ? style.good('serving') : style.warn(replication.phase);
  const clock = replication === undefined ? '' : replication.clock === 'safe' ? 'safe' : style.bad(replication.clock);
  const rate = (value: number | undefined): string => (value === undefined ? '' : count(Math.round(value)));
  return [id, state, phase, clock, ...fromEdge, rate(rates?.reads), rate(rates?.writes), rates?.answersMs === undefined ? '' : duration(rates.answersMs), lag(replication), replication === undefined ? '' : count(items)];
}

const lag = (replication: Replication | undefined): string => (replication?.ownLagMs === undefined || replication.ownLagMs === 0 ? '' : duration(replication.ownLagMs));

function linkRows({ id, replication }: RegionStatus, style: Style): string[][] {
  return (replication?.peers ?? []).map(({ id: peer, state, breaker, verdict, unreplicatedItems, exact, oldestMs, lagMs, hints, dead }) => [
    id,
    peer,
    state === 'up' ? style.good(state) : state === 'paused' ? style.warn(state) : style.bad(state),
    seenAs(verdict, style),
    breaker === 'closed' ? breaker : style.bad(breaker),
    `${exact ? '' : '≤ '}${count(unreplicatedItems)}`,
    unreplicatedItems === 0 ? '' : duration(oldestMs),
    hints === 0 ? '' : count(hints),
    lagMs.count === 0 ? '' : duration(lagMs.p99),
    dead === 0 ? '' : style.bad(count(dead)),
  ]);
}
