// `dump`: every record of one region on a line each, so that two regions can be compared with diff.

import type { Command } from 'commander';
import type { Client } from '../../client/client.ts';
import { PAGE_ITEMS_MAX } from '../../core/limits.ts';
import { EXIT_CODES_HELP } from '../exit.ts';
import { count, type Progress } from '../output.ts';
import { withConnection, withSession, type ConnectionFlags } from '../session.ts';
import type { Terminal } from '../terminal.ts';

interface DumpFlags extends ConnectionFlags {
  readonly collection: readonly string[];
}

/** Not in the list of collections, but in the store. */
const SYSTEM_COLLECTIONS = ['_collections', '_keys'];
/** Group and hash, in hexadecimal: what the physical order begins with. */
const PREFIX = 24;

export function addDump(program: Command, terminal: Terminal): void {
  const command = program
    .command('dump')
    .description('print every record of a region in the one-line form, in physical order')
    .option('--collection <name>', 'only this one; may be repeated (default: all, those of the system too)', (value: string, before: readonly string[]) => [...before, value], []);
  withConnection(command, { region: false })
    .requiredOption('--region <id>', 'the region whose store is printed')
    .addHelpText('after', `
A line is: group and hash, collection, key, the live values with their dots, the context, the operations. Tombstones are there
too. Regions that agree print the same lines, where nothing is being written; only a region that lost its folder may lack tombstones
from before. With --json every line is a JSON object.

Examples:
  diff <(archipel dump --region eu-central-1) <(archipel dump --region us-east-1)
  archipel dump --region eu-central-1 --collection carts | grep alice
${EXIT_CODES_HELP}`)
    .action((flags: DumpFlags) =>
      withSession(terminal, flags, async (session) => {
        const client = await session.forRoutes();
        const collections = flags.collection.length > 0 ? flags.collection : [...SYSTEM_COLLECTIONS, ...(await client.collections()).map(({ name }) => name)];
        const progress = terminal.out.isTty ? undefined : session.progress();
        const total = progress === undefined ? undefined : await itemsOf(client, collections);
        let printed = 0;
        for await (const lines of inPhysicalOrder(client, [...new Set(collections)])) {
          printed += lines.length;
          await terminal.out.write(lines.map((line) => `${session.isJson ? JSON.stringify(parsed(line)) : line}\n`).join(''));
          show(progress, printed, total);
        }
        progress?.clear();
      }),
    );
}

async function itemsOf(client: Client, collections: readonly string[]): Promise<number> {
  const { items } = await client.replication();
  return collections.reduce((sum, name) => sum + (items[name] ?? 0), 0);
}

/** Tombstones come on top of the items, so the bar may be full a little early. */
const show = (progress: Progress | undefined, printed: number, total = 0): void => progress?.show(`${count(printed)} records`, total === 0 ? undefined : Math.min(1, printed / total));

function parsed(line: string): unknown {
  const [position = '', collection = ''] = line.split(' ', 2);
  return { position, collection, record: line.slice(position.length + collection.length + 2) };
}

interface Source {
  readonly name: string;
  lines: readonly string[];
  at: number;
  cursor: string | undefined;
}

/** Each collection comes in order; the next line is the smallest of their first ones. Answers runs of lines. */
async function* inPhysicalOrder(client: Client, names: readonly string[]): AsyncGenerator<readonly string[]> {
  const sources = await Promise.all(names.map((name) => filled(client, { name, lines: [], at: 0, cursor: undefined }, true)));
  let left = sources.filter((source) => source !== undefined);
  while (left.length > 0) {
    left.sort((a, b) => (headOf(a) < headOf(b) ? -1 : headOf(a) > headOf(b) ? 1 : 0));
    const [first, second] = left as [Source, Source | undefined];
    const from = first.at;
    const limit = second === undefined ? undefined : headOf(second);
    while (first.at < first.lines.length && (limit === undefined || headOf(first) <= limit)) first.at++;
    yield first.lines.slice(from, first.at);
    if (first.at === first.lines.length && (await filled(client, first)) === undefined) left = left.slice(1);
  }
}

const headOf = ({ lines, at }: Source): string => (lines[at] as string).slice(0, PREFIX);

/** The source with its next page; undefined when it has none left. */
async function filled(client: Client, source: Source, isFirst = false): Promise<Source | undefined> {
  let isNext = isFirst;
  while (isNext || source.cursor !== undefined) {
    isNext = false;
    const page = await client.dump(source.name, { limit: PAGE_ITEMS_MAX, ...(source.cursor === undefined ? {} : { cursor: source.cursor }) });
    source.lines = page.lines;
    source.at = 0;
    source.cursor = page.cursor;
    if (page.lines.length > 0) return source;
  }
  return undefined;
}
