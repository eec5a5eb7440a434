// `drill`: lose a region on purpose, and measure what clients saw.

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { nodeRandom } from '../../adapters/node/crypto.ts';
import { patientClock } from '../../client/node.ts';
import { parseWhole } from '../../config/options.ts';
import { ArchipelError } from '../../core/errors.ts';
import { withControl } from '../../drill/control.ts';
import type { Drill } from '../../drill/drill.ts';
import type { DrillEvent, DrillReport } from '../../drill/report.ts';
import type { RunParts } from '../../drill/run.ts';
import { EXIT } from '../exit.ts';
import { duration, plural, styleFor, table } from '../output.ts';
import type { Terminal } from '../terminal.ts';
import { attempt, pathOf, readDrill, SHIPPED } from './drill-files.ts';
import { onAws, refuseOnAws } from './drill-aws.ts';
import { addCompare, addSchedule } from './drill-more.ts';

interface RunFlags {
  readonly on: string;
  readonly do?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly seed: string;
  readonly report?: string;
  readonly control?: boolean;
  readonly json?: boolean;
}

export function addDrill(program: Command, terminal: Terminal): void {
  const drill = program.command('drill').description('rehearse the loss of a region: faults on purpose, clients that measure');
  drill
    .command('list')
    .description('show the drills that come with Archipel')
    .option('--json', 'print JSON')
    .addHelpText('after', `
Examples:
  archipel drill list
  archipel drill list --json

Exit codes: 0 done; 1 could not`)
    .action(({ json }: { readonly json?: boolean }) => attempt(terminal, json, () => list(terminal, json === true)));
  drill
    .command('run')
    .description('run a drill and judge it')
    .argument('<file>', 'a drill file, or the name of one that comes with Archipel')
    .option('--on <place>', 'local: processes of this machine, in a temporary folder; sim: the simulation, in virtual time; aws-local: an emulated AWS on this machine; or the addresses of a cluster that runs: the edge, then its regions, with commas', 'local')
    .option('--do <command>', 'with addresses: does the steps that HTTP cannot do; {verb}, {region}, {to} and {ms} say which')
    .option('--key <key>', 'with addresses: the admin key (or the variable ARCHIPEL_KEY)')
    .option('--ca <file>', 'with addresses: trust this certificate (PEM)')
    .option('--seed <n>', 'on sim: the seed that decides what takes how long', '1')
    .option('--report <dir>', 'write DIR/<drill>.json and DIR/<drill>.html')
    .option('--control', 'with the drill’s own known bug put in: it must fail')
    .option('--json', 'events as they happen on standard error, one line of JSON at the end')
    .addHelpText('after', `
The clients know nothing of the drill. RTO is what they measured: from the last good second before the first fault to the
first of five good ones in a row (99 % of the requests answered, p99 at most twice the normal one). One machine proves the
protocol and the recovery; it does not prove a wide area network, power loss, or the independence of regions.

On aws-local the stacks of a deployment are made from their templates, on an emulator of AWS that is installed for it (Python 3.10 or
newer, and a checkout of Archipel are needed). It answers about 140 invocations a second, so that the load is scaled down, and the
report says so. A step that is not there (a disk, a clock, what an operator decides) is refused before anything is started.

With addresses the first region is the one that the clients are nearest to. The drill writes into a collection of its own, named
drill, which stays. What an operator decides (drain, return, fence, lose) it does itself; any other step is done by the command of
--do, which ends with 0 when it is done, or the drill is refused before it begins.

Examples:
  archipel drill run region-lost-under-load
  archipel drill run my-drill.yaml --report reports
  archipel drill run region-lost-under-load --on aws-local
  archipel drill run flapping --on http://edge:7400,http://a:7401,http://b:7401,http://c:7401 --do './step.sh {verb} {region}'

Exit codes: 0 passed; 1 could not run; 2 an expectation failed`)
    .action((file: string, flags: RunFlags) => attempt(terminal, flags.json, () => run(terminal, file, flags)));
  addCompare(drill, terminal);
  addSchedule(drill, terminal);
}

const shipped = (): readonly string[] => readdirSync(SHIPPED).filter((name) => name.endsWith('.yaml')).sort();

async function list(terminal: Terminal, json: boolean): Promise<number> {
  const drills = shipped().map((name) => readDrill(join(SHIPPED, name)));
  if (json) await terminal.out.write(`${JSON.stringify({ drills: drills.map(({ name, about, regions, endMs }) => ({ name, about, regions, seconds: endMs / 1_000 })) })}\n`);
  else for (const { name, about, endMs } of drills) await terminal.out.write(`${styleFor(terminal.out).bold(name)} (${Math.ceil(endMs / 1_000)} s)\n  ${oneLine(about)}\n`);
  return EXIT.done;
}

async function run(terminal: Terminal, file: string, flags: RunFlags): Promise<number> {
  const drill = readDrill(pathOf(file));
  const style = styleFor(terminal.err);
  const say = (text: string): void => void terminal.err.write(`${text}\n`);
  const parts = {
    control: flags.control === true ? drill.control : undefined,
    onEvent: ({ atMs, what }: DrillEvent): void => say(`${style.dim(`${(atMs / 1_000).toFixed(1).padStart(6)} s`)}  ${what}`),
  };
  const { runAt } = await import('./drill-given.ts');
  const given = runAt(terminal, drill, flags);
  const runs: Readonly<Record<string, () => Promise<DrillReport>>> = { local: () => onProcesses(terminal, drill, parts, (command) => say(style.dim(`Meanwhile, in another terminal: ${command}`))), 'aws-local': () => onAws(terminal, drill, parts), sim: () => inSimulation(drill, parseWhole('--seed', flags.seed, 0, 999_999_999), parts) };
  const run = given === undefined ? runs[flags.on] : () => given(parts);
  if (run === undefined) throw new ArchipelError('bad-request', `--on is local, sim, aws-local or addresses like http://127.0.0.1:7400, not ${JSON.stringify(flags.on)}.`);
  if (flags.on === 'aws-local') await refuseOnAws(drill, parts.control);
  say(`${style.bold(drill.name)}: ${oneLine(drill.about)}`);
  const report = await run();
  if (flags.report !== undefined) await writeReport(flags.report, report);
  await (flags.json === true ? terminal.out.write(`${JSON.stringify(lastLine(report))}\n`) : show(terminal, report));
  return report.passed ? EXIT.done : EXIT.no;
}

type Parts = Pick<RunParts, 'control' | 'onEvent'>;

async function inSimulation(drill: Drill, seed: number, parts: Parts): Promise<DrillReport> {
  const { drillInSimulation } = await import('../../testing/drill-place.ts');
  return drillInSimulation(drill, seed, parts);
}

async function onProcesses(terminal: Terminal, drill: Drill, parts: Parts, watched: (command: string) => void): Promise<DrillReport> {
  const { LocalPlace } = await import('../../drill/local-place.ts');
  const { runDrill } = await import('../../drill/run.ts');
  const interrupted = new AbortController();
  const place = await LocalPlace.start(withControl(drill, parts.control), interrupted.signal);
  terminal.onInterrupt(() => {
    interrupted.abort();
    void place.end().finally(() => process.exit(EXIT.failed));
  });
  watched(place.watchedBy);
  try {
    return await runDrill(drill, place, { clock: patientClock, random: nodeRandom, ...parts });
  } finally {
    await place.end();
  }
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ');

/** What scripts read. */
const lastLine = ({ drill, passed, measured }: DrillReport): object => ({
  drill,
  passed,
  rtoMs: measured.rtoMs ?? null,
  rpoLive: measured.rpoLive ?? null,
  rpoReal: measured.rpoReal ?? null,
  acknowledged: measured.acknowledged,
  lost: measured.lost,
  errorRate: measured.errorRate,
  convergedMs: measured.convergedMs ?? null,
});

async function show(terminal: Terminal, report: DrillReport): Promise<void> {
  const style = styleFor(terminal.out);
  const rows = report.verdicts.map(({ expectation, holds, found }) => [holds ? style.good('holds') : style.bad('fails'), expectation, found]);
  const { measured } = report;
  const facts = [
    plural(report.requests, 'request'),
    `${measured.acknowledged} writes acknowledged`,
    measured.detectionMs === undefined ? undefined : `detected in ${duration(measured.detectionMs)}`,
    measured.staleReadMs === 0 ? 'no stale read' : `${plural(measured.staleReads, 'stale read')} (${measured.staleAfterReturn} after the return), the last after ${duration(measured.staleReadMs)}`,
    `${measured.conflicts} in the ledger`,
  ];
  await terminal.out.write(`\n${table([{ title: '' }, { title: 'expected' }, { title: 'found' }], rows, style)}\n${facts.filter((fact) => fact !== undefined).join(', ')}\n`);
  for (const remark of report.remarks) await terminal.out.write(`${style.dim(remark)}\n`);
  for (const note of report.notes) await terminal.out.write(`${style.warn(note)}\n`);
  await terminal.out.write(`${report.passed ? style.good('passed') : style.bad('failed')}\n`);
}

async function writeReport(folder: string, report: DrillReport): Promise<void> {
  const { drillPage } = await import('../../drill/page.ts');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${report.drill}.json`), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(folder, `${report.drill}.html`), drillPage(report));
}
