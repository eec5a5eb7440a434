// `conflicts list|restore|accept`: siblings, and the ledger of writes that lost.

import type { Command } from 'commander';
import type { Client } from '../../client/client.ts';
import type { Conflict, SettledGroup } from '../../client/types.ts';
import { parseDuration, parseWhole } from '../../config/options.ts';
import { ArchipelError, isArchipelError } from '../../core/errors.ts';
import { PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX } from '../../core/limits.ts';
import { EXIT, EXIT_CODES_HELP } from '../exit.ts';
import { showName, showValue, type ValueLike } from '../keys.ts';
import { plural, table } from '../output.ts';
import { withConnection, withSession, type ConnectionFlags, type Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';

interface ListFlags extends ConnectionFlags {
  readonly state: string;
  readonly since?: string;
  readonly group?: string;
  readonly limit?: string;
}

export function addConflicts(program: Command, terminal: Terminal): void {
  const group = program.command('conflicts').description('list siblings and lost writes, bring lost ones back, or leave them so').helpCommand(false);
  addList(group, terminal);
  addRestore(group, terminal);
  addAccept(group, terminal);
}

function addList(group: Command, terminal: Terminal): void {
  const command = group
    .command('list')
    .description('list the writes that lost (the ledger), or the items with siblings')
    .argument('<collection>')
    .option('--state <state>', 'lost, or siblings', 'lost')
    .option('--since <when>', 'only losses since then: 1h for the last hour, or a date like 2026-11-20T10:00:00Z')
    .option('--group <group>', 'only the stranded writes of a region that was lost and came back: its actor, as the list shows it')
    .option('--limit <n>', `rows at most, of each region (default: ${PAGE_ITEMS_DEFAULT})`);
  withConnection(command)
    .addHelpText('after', `
Each region keeps the ledger of the losses that it saw; all regions are asked, and the same loss is shown once, unless --region
names one. The exit code is 1 when a region does not answer; what the others know is listed.

Examples:
  archipel conflicts list demo
  archipel conflicts list carts --state siblings
  archipel conflicts list demo --since 1h --json | jq -r '.items[].id'
  archipel conflicts list demo --group us-east-1~k3f9a
${EXIT_CODES_HELP}`)
    .action((collection: string, flags: ListFlags) =>
      withSession(terminal, flags, async (session) => {
        const { state } = flags;
        if (state !== 'lost' && state !== 'siblings') throw new ArchipelError('bad-request', `--state is lost or siblings, not ${JSON.stringify(state)}.`);
        const limit = flags.limit === undefined ? PAGE_ITEMS_DEFAULT : parseWhole('--limit', flags.limit, 1, 1_000_000);
        const since = { ...(flags.since === undefined ? {} : { since: parseSince(flags.since) }), ...(flags.group === undefined ? {} : { group: flags.group }) };
        const pages = await Promise.all((await session.regionIds()).map(async (region) => pageOf(region, listAt(await session.at(region), collection, { state, ...since }, limit))));
        const items = merged(pages.flatMap(({ items: some }) => some));
        const hasMore = pages.some(({ more }) => more);
        const unanswered = pages.filter(({ error }) => error !== undefined);
        if (unanswered.length === pages.length) throw unanswered[0]?.error as ArchipelError;
        const code = unanswered.length === 0 ? EXIT.done : EXIT.failed;
        if (session.isJson) {
          await session.json({ items, more: hasMore, unanswered: unanswered.map(({ region }) => region) });
          return code;
        }
        await session.terminal.out.write(items.length === 0 ? '' : state === 'lost' ? lostTable(session, items) : siblingsTable(session, items));
        session.note(`${plural(items.length, state === 'lost' ? 'lost write' : 'item with siblings', state === 'lost' ? 'lost writes' : 'items with siblings')}${hasMore ? ', and there are more: --limit' : ''}`);
        for (const { region, error } of unanswered) session.note(`${region} was not asked: ${error?.message ?? ''}`);
        return code;
      }),
    );
}

function parseSince(text: string): string {
  if (/^[0-9]+(ms|s|m|h|d)$/.test(text)) return String(Date.now() - parseDuration('--since', text, Number.MAX_SAFE_INTEGER));
  if (!Number.isFinite(Date.parse(text))) throw new ArchipelError('bad-request', `--since is a time ago like 1h, or a date like 2026-11-20T10:00:00Z, not ${JSON.stringify(text)}.`);
  return new Date(Date.parse(text)).toISOString();
}

interface Page {
  readonly region: string;
  readonly items: readonly Conflict[];
  readonly more: boolean;
  /** Nobody answered there: what only that region knows is missing. */
  readonly error?: ArchipelError;
}

const pageOf = (region: string, listing: Promise<Pick<Page, 'items' | 'more'>>): Promise<Page> =>
  listing.then(
    (page) => ({ region, ...page }),
    (error: unknown) => {
      if (isArchipelError(error, 'no-region-available')) return { region, items: [], more: false, error };
      throw error;
    },
  );

interface ListQuery {
  readonly state: 'lost' | 'siblings';
  readonly since?: string;
  readonly group?: string;
}

async function listAt(client: Client, collection: string, query: ListQuery, limit: number): Promise<{ readonly items: readonly Conflict[]; readonly more: boolean }> {
  const items: Conflict[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.conflicts(collection, { ...query, limit: Math.min(PAGE_ITEMS_MAX, limit - items.length), ...(cursor === undefined ? {} : { cursor }) });
    items.push(...page.items);
    cursor = page.cursor;
  } while (cursor !== undefined && items.length < limit);
  return { items, more: cursor !== undefined };
}

/** A loss has one id wherever it was seen: the same row of several regions is one, with all of them. */
function merged(items: readonly Conflict[]): Conflict[] {
  const byId = new Map<string, Conflict>();
  for (const item of items) {
    const known = byId.get(item.id);
    byId.set(item.id, known === undefined ? item : { ...item, ...known, regions: [...new Set([...known.regions, ...item.regions])] });
  }
  return [...byId.values()].sort((a, b) => ((a.at ?? '') < (b.at ?? '') ? 1 : -1));
}

interface Loser extends ValueLike {
  readonly region?: string;
  readonly writtenAt?: string;
  readonly deleted?: boolean;
}

function lostTable({ style, terminal }: Session, items: readonly Conflict[]): string {
  const hasGroups = items.some(({ group }) => group !== undefined);
  const rows = items.map((item) => {
    const loser = item.loser as Loser;
    const value = loser.deleted === true ? 'a delete' : showValue(loser, Math.max(16, terminal.out.columns - 80));
    return [item.id, showName(item), value, `${loser.region ?? ''} ${loser.writtenAt ?? ''}`, item.rule ?? '', style.dim(item.regions.join(' ')), ...(hasGroups ? [item.group ?? ''] : [])];
  });
  return table([{ title: 'id' }, { title: 'item' }, { title: 'lost value' }, { title: 'written' }, { title: 'rule' }, { title: 'ledger of' }, ...(hasGroups ? [{ title: 'group' }] : [])], rows, style);
}

function siblingsTable({ style }: Session, items: readonly Conflict[]): string {
  return table([{ title: 'item' }, { title: 'written in' }], items.map((item) => [showName(item), item.regions.join(' ')]), style);
}

function addRestore(group: Command, terminal: Terminal): void {
  const command = group
    .command('restore')
    .description('write a lost value again: it supersedes what is current')
    .argument('<collection>')
    .argument('[id]', 'as conflicts list shows it')
    .option('--group <group>', 'all stranded writes of a region that was lost and came back')
    .option('--idempotency-key <id>', 'the operation id, to repeat a restore whose outcome is unknown (default: a new UUIDv7)');
  withConnection(command)
    .addHelpText('after', `
An ordinary write with the context of what is current, in a region whose ledger holds the loss. With --group, every write of the
group whose item nobody has written since the region came back; the group is settled then.

Examples:
  archipel conflicts restore demo f11f81facdda06e56318e8f0
  archipel conflicts restore demo --group us-east-1~k3f9a
${EXIT_CODES_HELP}`)
    .action((collection: string, id: string | undefined, flags: ConnectionFlags & { readonly group?: string; readonly idempotencyKey?: string }) =>
      withSession(terminal, flags, async (session) => {
        if ((id === undefined) === (flags.group === undefined)) throw new ArchipelError('bad-request', 'Name one lost write, or a group with --group.');
        if (id === undefined) return settle(session, collection, flags.group as string, 'restore');
        const { region, restored } = await restoreSomewhere(session, collection, id, flags.idempotencyKey);
        const { operation, ...told } = restored;
        await (session.isJson ? session.json({ ...told, region, idempotencyKey: operation }) : session.line(`${session.style.good(restored.outcome)} in ${region}${restored.etag === undefined ? '' : ` · etag ${restored.etag}`}`));
      }),
    );
}

async function restoreSomewhere(session: Session, collection: string, id: string, operation: string | undefined): Promise<{ readonly region: string; readonly restored: Awaited<ReturnType<Client['restore']>> }> {
  const regions = await session.regionIds();
  let unanswered: ArchipelError | undefined;
  for (const region of regions) {
    try {
      return { region, restored: await (await session.at(region)).restore(collection, id, operation === undefined ? {} : { operation }) };
    } catch (error) {
      if (isArchipelError(error, 'no-region-available')) unanswered = error;
      else if (!isArchipelError(error, 'not-found')) throw error;
    }
  }
  if (unanswered !== undefined) throw unanswered;
  throw new ArchipelError('not-found', `No ledger of ${regions.join(', ')} has a lost write ${id} of ${collection}.`);
}

function addAccept(group: Command, terminal: Terminal): void {
  const command = group.command('accept').description('leave a group of stranded writes as the merge has it').argument('<collection>').requiredOption('--group <group>', 'as conflicts list shows it');
  withConnection(command)
    .addHelpText('after', `
The writes stay in the ledger, and each can still be restored by itself; they are listed as a group no more.

Examples:
  archipel conflicts accept demo --group us-east-1~k3f9a
${EXIT_CODES_HELP}`)
    .action((collection: string, flags: ConnectionFlags & { readonly group: string }) => withSession(terminal, flags, (session) => settle(session, collection, flags.group, 'accept')));
}

/** In one region after the other: each has a ledger, and a note of what is settled, of its own. */
async function settle(session: Session, collection: string, group: string, verb: 'accept' | 'restore'): Promise<number> {
  const told: (SettledGroup & { readonly region: string })[] = [];
  const unanswered: string[] = [];
  for (const region of await session.regionIds()) {
    try {
      told.push({ region, ...(await (await session.at(region)).settleGroup(collection, group, verb)) });
    } catch (error) {
      if (isArchipelError(error, 'no-region-available')) unanswered.push(region);
      else if (!isArchipelError(error, 'not-found')) throw error;
    }
  }
  if (told.length === 0 && unanswered.length === 0) throw new ArchipelError('not-found', `No region knows of stranded writes of ${group}.`);
  const isDone = unanswered.length === 0 && told.every(({ refused }) => refused === 0);
  if (session.isJson) await session.json({ group, regions: told, unanswered });
  else await showSettled(session, verb, told);
  for (const region of unanswered) session.note(`${region} was not asked: ${verb} the group again when it answers`);
  return isDone ? EXIT.done : EXIT.failed;
}

async function showSettled({ style, terminal }: Session, verb: 'accept' | 'restore', told: readonly (SettledGroup & { readonly region: string })[]): Promise<void> {
  const right = { right: true } as const;
  const columns = [{ title: 'ledger of' }, { title: 'writes', ...right }, ...(verb === 'accept' ? [] : [{ title: 'restored', ...right }, { title: 'written since', ...right }, { title: 'refused', ...right }])];
  const rows = told.map(({ region, writes, restored, overtaken, refused }) => [region, String(writes), ...(verb === 'accept' ? [] : [String(restored), String(overtaken), String(refused)])]);
  await terminal.out.write(table(columns, rows, style));
}
