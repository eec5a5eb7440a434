// `drill compare` and `drill schedule`: what comes before a run and after it.

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { ArchipelError } from '../../core/errors.ts';
import type { DrillReport } from '../../drill/report.ts';
import { EXIT } from '../exit.ts';
import { duration, styleFor, table } from '../output.ts';
import type { Terminal } from '../terminal.ts';
import { attempt, pathOf, readDrill } from './drill-files.ts';

/** What two runs of a drill are compared by: the lower the better. */
const COMPARED: readonly (readonly [string, (report: DrillReport) => number | undefined, (value: number) => string])[] = [
  ['RTO', ({ measured }) => measured.rtoMs, duration],
  ['detection', ({ measured }) => measured.detectionMs, duration],
  ['said to be down', ({ measured }) => measured.verdictMs, duration],
  ['live RPO at the loss', ({ measured }) => measured.rpoLive, String],
  ['real RPO', ({ measured }) => measured.rpoReal, String],
  ['without account', ({ measured }) => measured.lost, String],
  ['bad seconds', ({ measured }) => measured.badSeconds, String],
  ['errors', ({ measured }) => measured.errorRate, (share) => `${(share * 100).toFixed(2)} %`],
  ['errors after return', ({ measured }) => measured.errorsAfterReturn, (share) => `${(share * 100).toFixed(2)} %`],
  ['converged', ({ measured }) => measured.convergedMs, duration],
  ['equal after healing', ({ measured }) => measured.equalAfterHealingMs, duration],
  ['stale reads', ({ measured }) => measured.staleReads, String],
  ['stale reads after return', ({ measured }) => measured.staleAfterReturn, String],
  ['last stale read', ({ measured }) => measured.staleReadMs, duration],
  ['p99, the worst second', ({ seconds }) => most(seconds.map(({ p99Ms }) => p99Ms)), duration],
  ['retries per request', ({ retriesPerRequest }) => retriesPerRequest, (each) => each.toFixed(3)],
  ['queue depth', ({ queued }) => most(queued.flat()), String],
  ['hints', ({ hints }) => most(hints.flat()), String],
];

const most = (figures: readonly (number | undefined | null)[]): number => figures.reduce((largest: number, each) => Math.max(largest, each ?? 0), 0);

/** What makes a comparison say less. */
const OTHERWISE: readonly (readonly [string, (report: DrillReport) => string | number])[] = [
  ['at', ({ place }) => place],
  ['regions', ({ regions }) => regions.join(', ')],
  ['known bug', ({ control }) => control ?? 'none'],
  ['remarks', ({ remarks = [] }) => remarks.join(' ') || 'none'],
];

export function addCompare(drill: Command, terminal: Terminal): void {
  drill
    .command('compare')
    .description('put two reports of a drill side by side')
    .argument('<before>', 'a report, as --report writes it (JSON)')
    .argument('<after>', 'another one')
    .option('--json', 'print JSON')
    .addHelpText('after', `
Examples:
  archipel drill compare last/region-lost-under-load.json reports/region-lost-under-load.json

Exit codes: 0 the second passed; 1 could not compare; 2 the second did not pass`)
    .action((before: string, after: string, { json }: { readonly json?: boolean }) => attempt(terminal, json, () => compare(terminal, readReport(before), readReport(after), json === true)));
}

function readReport(path: string): DrillReport {
  const wrong = (why: string): ArchipelError => new ArchipelError('bad-request', `${path} is not the report of a drill: ${why}.`);
  let report: Partial<DrillReport>;
  try {
    report = JSON.parse(readFileSync(path, 'utf8')) as Partial<DrillReport>;
  } catch (error) {
    throw wrong((error as NodeJS.ErrnoException).code ?? 'it is not JSON');
  }
  if (typeof report.drill !== 'string' || report.measured === undefined || report.seconds === undefined || report.regions === undefined) throw wrong('it names no drill, or nothing that was measured');
  return { queued: [], hints: [], ...report } as unknown as DrillReport;
}

async function compare(terminal: Terminal, before: DrillReport, after: DrillReport, json: boolean): Promise<number> {
  if (before.drill !== after.drill) throw new ArchipelError('bad-request', `These are two drills, ${before.drill} and ${after.drill}.`);
  const style = styleFor(terminal.out);
  const rows = COMPARED.map(([name, of, shown]) => ({ name, shown, was: of(before), is: of(after) }));
  const otherwise = OTHERWISE.flatMap(([name, of]) => (of(before) === of(after) ? [] : [`Not run alike: ${name} ${of(before)}, then ${of(after)}.`]));
  if (json) await terminal.out.write(`${JSON.stringify({ drill: after.drill, passed: [before.passed, after.passed], otherwise, figures: rows.map(({ name, was, is }) => ({ name, before: was ?? null, after: is ?? null })) })}\n`);
  else {
    const paint = (was: number | undefined, is: number | undefined, text: string): string => (was === undefined || is === undefined || was === is ? text : is < was ? style.good(text) : style.bad(text));
    const cells = rows.map(({ name, shown, was, is }) => [name, was === undefined ? 'not measured' : shown(was), paint(was, is, is === undefined ? 'not measured' : shown(is))]);
    const verdict = ({ passed }: DrillReport): string => (passed ? style.good('passed') : style.bad('failed'));
    await terminal.out.write(`${style.bold(after.drill)}\n${table([{ title: '' }, { title: 'before' }, { title: 'after' }], [...cells, ['', verdict(before), verdict(after)]], style)}${otherwise.map((each) => `${style.warn(each)}\n`).join('')}`);
  }
  return after.passed ? EXIT.done : EXIT.no;
}

export function addSchedule(drill: Command, terminal: Terminal): void {
  drill
    .command('schedule')
    .description('print what runs a drill by itself: a GitHub Actions workflow, and a line for cron')
    .argument('<drill>', 'the name of a drill that comes with Archipel, or a file')
    .option('--json', 'print JSON')
    .addHelpText('after', `
Examples:
  archipel drill schedule region-lost-under-load

Exit codes: 0 done; 1 there is no such drill`)
    .action((file: string, { json }: { readonly json?: boolean }) =>
      attempt(terminal, json, async () => {
        const { name } = readDrill(pathOf(file));
        const shellWord = quoted(file);
        const workflow = WORKFLOW.replaceAll('DRILL', () => shellWord).replaceAll('TITLE', name);
        // A percent sign ends a line of cron, quoted or not.
        const cron = `17 3 * * 1  cd /srv/archipel && npx archipel drill run ${shellWord.replaceAll('%', String.raw`\%`)} --report reports || logger -p user.err 'the drill ${name} failed'`;
        await terminal.out.write(json === true ? `${JSON.stringify({ workflow, cron })}\n` : `# .github/workflows/drill-${name}.yml\n${workflow}\n# crontab -e\n# ${cron}\n`);
        return EXIT.done;
      }),
    );
}

/** One word of a shell's command. */
function quoted(path: string): string {
  if (/[\n\r]/.test(path)) throw new ArchipelError('bad-request', 'The path of the drill has a line break in it, and a line of cron cannot.');
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

const WORKFLOW = `name: drill TITLE
on:
  schedule:
    - cron: '17 3 * * 1'
  workflow_dispatch:
permissions:
  contents: read
jobs:
  drill:
    runs-on: ubuntu-latest
    timeout-minutes: 15
    steps:
      - uses: actions/checkout@v4
      - run: npm ci
      - run: |
          npx archipel drill run DRILL --report reports
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: drill
          path: reports
`;
