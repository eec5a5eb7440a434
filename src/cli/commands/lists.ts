// `range` and `scan`: many items, page by page.

import type { Command } from 'commander';
import type { Client } from '../../client/client.ts';
import type { ItemPage, ListedItem, RangeOptions } from '../../client/types.ts';
import { parseWhole } from '../../config/options.ts';
import { ArchipelError } from '../../core/errors.ts';
import { PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX } from '../../core/limits.ts';
import { EXIT_CODES_HELP } from '../exit.ts';
import { keyPart, showKey, showValue } from '../keys.ts';
import { count, plural, table } from '../output.ts';
import { withConnection, withSession, type ConnectionFlags, type Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { viewerOf } from './items.ts';

interface ListFlags extends ConnectionFlags {
  readonly limit?: string;
  readonly cursor?: string;
  readonly all?: boolean;
  readonly lat?: string;
  readonly lon?: string;
}

function withList(command: Command): Command {
  return command
    .option('--limit <n>', `items at most (default: ${PAGE_ITEMS_DEFAULT})`)
    .option('--cursor <cursor>', 'go on where another page ended')
    .option('--all', 'every item, to the end; with --json a line of JSON per item')
    .option('--lat <degrees>', 'ask as somebody there would (an edge on loopback)')
    .option('--lon <degrees>', 'and there');
}

interface RangeFlags extends ListFlags {
  readonly ge?: string;
  readonly gt?: string;
  readonly le?: string;
  readonly lt?: string;
  readonly prefix?: string;
  readonly desc?: boolean;
  readonly base64urlKeys?: boolean;
}

export function addRange(program: Command, terminal: Terminal): void {
  const command = program
    .command('range')
    .description('list the items of one pk, in the order of their sort keys')
    .argument('<collection>')
    .argument('<pk>', 'the partition key')
    .option('--ge <sk>', 'from this sort key on')
    .option('--gt <sk>', 'after this sort key')
    .option('--le <sk>', 'up to this sort key')
    .option('--lt <sk>', 'before this sort key')
    .option('--prefix <text>', 'sort keys that begin so')
    .option('--desc', 'the last ones first')
    .option('--base64url-keys', 'pk, bounds and prefix are given as base64url');
  withConnection(withList(command))
    .addHelpText('after', `
Sort keys are compared byte by byte.

Examples:
  archipel range cities KR --prefix Se
  archipel range cities BR --desc --limit 10
  archipel range carts alice --ge 2026-01 --lt 2026-02 --json
${EXIT_CODES_HELP}`)
    .action((collection: string, pk: string, flags: RangeFlags) =>
      withSession(terminal, flags, async (session) => {
        const key = keyPart('The pk', pk, flags.base64urlKeys === true);
        const options: RangeOptions = { ...boundsOf(flags), ...viewerOf(flags), ...(flags.desc === true ? { order: 'desc' } : {}) };
        const client = await session.forItems();
        await list(session, flags, (limit, cursor) => client.range(collection, key, { ...options, limit, ...(cursor === undefined ? {} : { cursor }) }));
      }),
    );
}

function boundsOf(flags: RangeFlags): RangeOptions {
  const given = (['ge', 'gt', 'le', 'lt', 'prefix'] as const).filter((name) => flags[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, keyPart(`--${name}`, flags[name] as string, flags.base64urlKeys === true)]));
}

export function addScan(program: Command, terminal: Terminal): void {
  const command = program.command('scan').description('list all items of a collection, in physical order').argument('<collection>');
  withConnection(withList(command))
    .addHelpText('after', `
Physical order is by the hash of collection and pk; the items of one pk stand together, in the order of their sort keys.

Examples:
  archipel scan demo
  archipel scan carts --all --json > carts.jsonl
${EXIT_CODES_HELP}`)
    .action((collection: string, flags: ListFlags) =>
      withSession(terminal, flags, async (session) => {
        const client = await session.forItems();
        await list(session, flags, (limit, cursor) => client.scan(collection, { ...viewerOf(flags), limit, ...(cursor === undefined ? {} : { cursor }) }), await totalOf(session, client, collection, flags));
      }),
    );
}

/** For the progress of a whole scan: how many items the region counts. It may hold more of the others' than its own. */
async function totalOf(session: Session, client: Client, collection: string, flags: ListFlags): Promise<number | undefined> {
  if (flags.all !== true || !session.terminal.err.isTty || session.terminal.out.isTty) return undefined;
  return client.replication().then(
    ({ items }) => items[collection],
    () => undefined,
  );
}

type Fetch = (limit: number, cursor: string | undefined) => Promise<ItemPage>;

async function list(session: Session, flags: ListFlags, fetch: Fetch, total?: number): Promise<void> {
  if (flags.all === true) {
    if (flags.limit !== undefined) throw new ArchipelError('bad-request', 'Give --all or --limit, not both.');
    return listAll(session, flags, fetch, total);
  }
  const limit = flags.limit === undefined ? PAGE_ITEMS_DEFAULT : parseWhole('--limit', flags.limit, 1, 1_000_000);
  const items: ListedItem[] = [];
  let { cursor } = flags;
  do {
    const page = await fetch(Math.min(PAGE_ITEMS_MAX, limit - items.length), cursor);
    items.push(...page.items);
    cursor = page.cursor;
  } while (cursor !== undefined && items.length < limit);
  if (session.isJson) return session.json({ items, ...(cursor === undefined ? {} : { cursor }) });
  await session.terminal.out.write(items.length === 0 ? '' : tableOf(session, items));
  session.note(cursor === undefined ? plural(items.length, 'item') : `${plural(items.length, 'item')}, and there may be more: --all, or --cursor ${cursor}`);
}

/** Page after page, without holding more than one. */
async function listAll(session: Session, flags: ListFlags, fetch: Fetch, total: number | undefined): Promise<void> {
  const progress = session.terminal.out.isTty ? undefined : session.progress();
  let { cursor } = flags;
  let listed = 0;
  do {
    const page = await fetch(PAGE_ITEMS_MAX, cursor);
    listed += page.items.length;
    if (session.isJson) await session.terminal.out.write(page.items.map((item) => `${JSON.stringify(item)}\n`).join(''));
    else if (page.items.length > 0) await session.terminal.out.write(tableOf(session, page.items));
    progress?.show(`${count(listed)} items`, total === undefined || total === 0 ? undefined : listed / total);
    cursor = page.cursor;
  } while (cursor !== undefined);
  progress?.clear();
  session.note(plural(listed, 'item'));
}

function tableOf({ style, terminal }: Session, items: readonly ListedItem[]): string {
  const hasSk = items.some(({ sk, skBase64 }) => sk !== undefined || skBase64 !== undefined);
  const rows = items.map((item) => {
    const { siblings } = item;
    const value = siblings === undefined ? showValue(item, Math.max(20, terminal.out.columns - 50)) : style.warn(`${siblings.length} siblings: ${siblings.map((each) => showValue(each, 20)).join(' | ')}`);
    return [showKey(item.pk, item.pkBase64), ...(hasSk ? [showKey(item.sk, item.skBase64)] : []), value];
  });
  return table([{ title: 'pk' }, ...(hasSk ? [{ title: 'sk' }] : []), { title: 'value' }], rows, style);
}
