// `cost`: what a deployment on AWS would cost at list price, beside a DynamoDB global table with the same copies.

import type { Command } from 'commander';
import { GATHER_SECONDS, GATHER_SECONDS_MAX, parseWhole, REGIONS_MAX } from '../../config/options.ts';
import { ArchipelError } from '../../core/errors.ts';
import { VALUE_BYTES_HARD_MAX } from '../../core/limits.ts';
import { batchOf, estimate, total, type Estimate, type Line } from '../../cost/estimate.ts';
import { PRICES, PRICES_DATE, PRICES_REGION } from '../../cost/prices.ts';
import { KEYS, itemOf, type Workload } from '../../cost/workload.ts';
import { EXIT, EXIT_CODES_HELP, tell } from '../exit.ts';
import { bytes, count, plural, styleFor, table, type Style } from '../output.ts';
import type { Terminal } from '../terminal.ts';

interface Flags {
  readonly regions: string;
  readonly replicas?: string;
  readonly writes: string;
  readonly reads: string;
  readonly valueBytes: string;
  readonly skew: string;
  readonly gather: string;
  readonly compressesTo: string;
  readonly json?: boolean;
}

const SECONDS_PER_MONTH = 2_628_000;
const MILLION = 1_000_000;

export function addCost(program: Command, terminal: Terminal): void {
  program
    .command('cost')
    .description('what a deployment on AWS costs at list price, beside DynamoDB global tables')
    .option('--regions <n>', 'how many regions', '3')
    .option('--replicas <n>', 'regions that hold an item (default: all, at most 3)')
    .option('--writes <n>', 'writes a second, of all regions together', '1000')
    .option('--reads <n>', 'reads a second, of all regions together', '1000')
    .option('--value-bytes <n>', 'size of a value', '512')
    .option('--skew <z>', `Zipf exponent of the writes over ${count(KEYS)} keys; 0: all alike`, '0')
    .option('--gather <seconds>', 'how long fan-out waits for more to send with the first write: `gatherSeconds` of the deployment', String(GATHER_SECONDS))
    .option('--compresses-to <share>', 'what is left of a message that is deflated; 1: of values that are random', '0.4')
    .option('--json', 'print JSON')
    .addHelpText('after', `
Nothing is asked, and no account is needed. Capacity units are counted from the items that would be stored; prices are list prices
of ${PRICES_REGION} of ${PRICES_DATE}, without free tiers. Durations of functions are assumed. docs/cost.md says what is what.

Examples:
  archipel cost
  archipel cost --regions 5 --writes 10 --value-bytes 2000
  archipel cost --skew 0.99 --writes 20000
${EXIT_CODES_HELP}`)
    .action(async (flags: Flags) => {
      try {
        const result = estimate(workloadOf(flags));
        await terminal.out.write(flags.json === true ? `${JSON.stringify({ ...result, prices: { date: PRICES_DATE, region: PRICES_REGION, ...PRICES } })}\n` : page(result, styleFor(terminal.out)));
        terminal.exitCode = EXIT.done;
      } catch (error) {
        tell(terminal, error, flags.json === true);
      }
    });
}

function workloadOf(flags: Flags): Workload {
  const regions = parseWhole('--regions', flags.regions, 1, REGIONS_MAX);
  return {
    regions,
    replicas: flags.replicas === undefined ? Math.min(3, regions) : parseWhole('--replicas', flags.replicas, 1, regions),
    writesPerSecond: parseWhole('--writes', flags.writes, 0, 100_000_000),
    readsPerSecond: parseWhole('--reads', flags.reads, 0, 100_000_000),
    valueBytes: parseWhole('--value-bytes', flags.valueBytes, 0, VALUE_BYTES_HARD_MAX),
    skew: decimalOf('--skew', flags.skew, 0, 2),
    gatherSeconds: parseWhole('--gather', flags.gather, 0, GATHER_SECONDS_MAX),
    compressesTo: decimalOf('--compresses-to', flags.compressesTo, 0.01, 1),
  };
}

function decimalOf(flag: string, text: string, least: number, most: number): number {
  const value = /^[0-9](?:\.[0-9]{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) throw new ArchipelError('bad-request', `${flag} is a number from ${least} to ${most}, not ${JSON.stringify(text)}.`);
  return value;
}

function page(result: Estimate, style: Style): string {
  const { workload } = result;
  const { regions, replicas, writesPerSecond, readsPerSecond, valueBytes, skew, gatherSeconds } = workload;
  const { records, sent } = batchOf(workload);
  const about = `${plural(regions, 'region')}, ${plural(replicas, 'copy', 'copies')} of each item, ${count(writesPerSecond)} writes and ${count(readsPerSecond)} reads a second, values of ${bytes(valueBytes)}${skew === 0 ? '' : `, skew ${skew}`}`;
  const gathered = `An item is stored in ${bytes(itemOf(workload).storedBytes)}; fan-out gathers ${records.toFixed(1)} writes within ${gatherSeconds} s${skew === 0 ? '' : `, and sends ${sent.toFixed(1)}`}.`;
  const month = (each: (million: 'writes' | 'reads') => number): number => (SECONDS_PER_MONTH / MILLION) * (writesPerSecond * each('writes') + readsPerSecond * each('reads'));
  const ours = month((what) => total(result[what]));
  const theirs = month((what) => total(what === 'writes' ? result.globalWrites : result.globalReads));
  return [
    `${about}.\n${gathered}\n`,
    beside('a million writes', result.writes, result.globalWrites, style),
    beside('a million reads', result.reads, result.globalReads, style),
    `  a month of both: ${dollars(ours)} beside ${dollars(theirs)}\n`,
    alone('a million requests', result.doors, style),
    alone('when it happens', result.apart, style),
    alone('a month without a request', [...result.idle, { what: 'together', dollars: total(result.idle) }], style),
  ].join('\n');
}

function beside(title: string, ours: readonly Line[], theirs: readonly Line[], style: Style): string {
  const rows = ours.map(({ what, dollars: cost }) => [what, dollars(cost), dollars(theirs.find((line) => line.what === what)?.dollars)]);
  const ratio = total(ours) / total(theirs);
  return table([{ title }, { title: 'Archipel', right: true }, { title: 'global table', right: true }, { title: '' }], [...rows, ['together', dollars(total(ours)), dollars(total(theirs)), `${ratio.toFixed(2)} x`]], style);
}

const alone = (title: string, lines: readonly Line[], style: Style): string => table([{ title }, { title: 'Archipel', right: true }], lines.map(({ what, dollars: cost }) => [what, dollars(cost)]), style);

const dollars = (cost: number | undefined): string => (cost === undefined ? '-' : cost >= 1_000 ? `$${count(cost)}` : `$${cost.toFixed(cost < 1 ? 3 : 2)}`);
