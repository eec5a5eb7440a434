// `put`, `get`, `del`, `explain`: one item.

import { readFileSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Explanation, Item, PutOptions, Read, WriteOptions, Written } from '../../client/types.ts';
import { parseDuration, parseWhole } from '../../config/options.ts';
import { utf8, utf8Text } from '../../core/bytes.ts';
import { ArchipelError } from '../../core/errors.ts';
import { VALUE_BYTES_HARD_MAX } from '../../core/limits.ts';
import { EXIT, EXIT_CODES_HELP } from '../exit.ts';
import { contentTypeOf, itemOf, keyFields, showValue, valueFields, type KeyFlags } from '../keys.ts';
import { duration, plural, printable, table } from '../output.ts';
import { withConnection, withSession, type ConnectionFlags, type Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';

interface PlaceFlags {
  readonly lat?: string;
  readonly lon?: string;
}

export interface ItemFlags extends ConnectionFlags, KeyFlags, PlaceFlags {}

const TEN_YEARS_MS = 315_360_000_000;

/** How the item is named, and from where it is asked for. */
export function withItem(command: Command): Command {
  return command
    .option('--sk <key>', 'the sort key')
    .option('--base64url-keys', 'pk and sk are given as base64url: keys that are not text')
    .option('--lat <degrees>', 'ask as somebody there would (an edge on loopback)')
    .option('--lon <degrees>', 'and there');
}

export function viewerOf({ lat, lon }: PlaceFlags): { readonly viewer?: { readonly lat: number; readonly lon: number } } {
  if (lat === undefined && lon === undefined) return {};
  if (lat === undefined || lon === undefined) throw new ArchipelError('bad-request', '--lat and --lon go together.');
  return { viewer: { lat: degrees('--lat', lat, 90), lon: degrees('--lon', lon, 180) } };
}

function degrees(name: string, text: string, most: number): number {
  const value = /^[+-]?[0-9]+(\.[0-9]+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(Math.abs(value) <= most)) throw new ArchipelError('bad-request', `${name} is a number from -${most} to ${most}, not ${JSON.stringify(text)}.`);
  return value;
}

// Writing ---------------------------------------------------------------------------------------------------------------------

interface WriteFlags extends ItemFlags {
  readonly context?: string;
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
  readonly replicateTo?: string;
  readonly idempotencyKey?: string;
}

function withWrite(command: Command): Command {
  return command
    .option('--context <token>', 'the causal context that the item was read with: what it covers is superseded')
    .option('--if-match <etag>', 'only if the item has this tag (* for any)')
    .option('--if-none-match <etag>', 'only if it has not (* for: only if there is none)')
    .option('--replicate-to <n|ids>', 'wait until so many other regions, or these, hold the write')
    .option('--idempotency-key <id>', 'the operation id, to repeat a write whose outcome is unknown (default: a new UUIDv7)');
}

function writeOptions(flags: WriteFlags): WriteOptions {
  const { context, ifMatch, ifNoneMatch, replicateTo, idempotencyKey } = flags;
  return {
    ...viewerOf(flags),
    ...(context === undefined ? {} : { context }),
    ...(ifMatch === undefined ? {} : { ifMatch }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
    ...(replicateTo === undefined ? {} : { replicateTo: parseReplicateTo(replicateTo) }),
    ...(idempotencyKey === undefined ? {} : { operation: idempotencyKey }),
  };
}

const parseReplicateTo = (text: string): number | readonly string[] => (/^[0-9]+$/.test(text) ? parseWhole('--replicate-to', text, 0, 32) : text.split(',').map((id) => id.trim()));

interface PutFlags extends WriteFlags {
  readonly file?: string;
  readonly type?: string;
  readonly ttl?: string;
}

export function addPut(program: Command, terminal: Terminal): void {
  const command = program
    .command('put')
    .description('write an item: a value given here, from a file, or from standard input')
    .argument('<collection>')
    .argument('<pk>', 'the partition key')
    .argument('[value]', 'the value, as text')
    .option('--file <file>', 'read the value from a file (- for standard input)')
    .option('--type <type>', 'content type: json, text, bytes, or any other (default: by the source of the value)')
    .option('--ttl <time>', 'expire after this time, like 90s or 7d');
  withConnection(withItem(withWrite(command)))
    .addHelpText('after', `
A write is sent again, under the same operation id, until it is answered or --timeout is over.
With --replicate-to the exit code is 2 when it is stored, but not yet in as many regions as asked.

Examples:
  archipel put demo greeting hello
  archipel put carts alice --sk 2026 --type json '{"items":["apples"]}'
  archipel put photos cat --file cat.png --ttl 7d
  date | archipel put demo now --type text --replicate-to 2
  archipel put carts alice merged --context "$CONTEXT"
${EXIT_CODES_HELP}`)
    .action((collection: string, pk: string, value: string | undefined, flags: PutFlags) =>
      withSession(terminal, flags, async (session) => {
        const item = itemOf(collection, pk, flags);
        const options: PutOptions = {
          ...writeOptions(flags),
          contentType: contentTypeOf(flags.type, { file: flags.file, argument: value !== undefined }),
          ...(flags.ttl === undefined ? {} : { ttlSeconds: Math.max(1, Math.round(parseDuration('--ttl', flags.ttl, TEN_YEARS_MS) / 1_000)) }),
        };
        const content = await contentOf(terminal, value, flags.file);
        const client = await session.forItems();
        return showWritten(session, item, await client.put(item, content, options));
      }),
    );
}

async function contentOf(terminal: Terminal, value: string | undefined, file: string | undefined): Promise<Uint8Array> {
  if (value !== undefined && file !== undefined) throw new ArchipelError('bad-request', 'Give a value or --file, not both.');
  if (value !== undefined) return utf8(value);
  if (file !== undefined && file !== '-') return readValue(file);
  const piped = await terminal.input(VALUE_BYTES_HARD_MAX);
  if (piped === undefined) throw new ArchipelError('bad-request', 'Give a value, or --file, or pipe one in.');
  return piped;
}

function readValue(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ArchipelError('bad-request', `The file ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)}).`, {}, error);
  }
}

export function addDel(program: Command, terminal: Terminal): void {
  const command = program.command('del').description('delete an item').argument('<collection>').argument('<pk>', 'the partition key').argument('[sk]', 'the sort key (or --sk)');
  withConnection(withItem(withWrite(command)))
    .addHelpText('after', `
Without --context the values that the region holds now are removed; siblings that it has not seen survive.

Examples:
  archipel del demo greeting
  archipel del carts alice 2026 --if-match "$ETAG"
${EXIT_CODES_HELP}`)
    .action((collection: string, pk: string, sk: string | undefined, flags: WriteFlags) =>
      withSession(terminal, flags, async (session) => {
        const item = itemOf(collection, pk, withSortKey(flags, sk));
        const client = await session.forItems();
        return showWritten(session, item, await client.delete(item, writeOptions(flags)), true);
      }),
    );
}

/** The sort key may stand after the pk. */
function withSortKey<F extends KeyFlags>(flags: F, sk: string | undefined): F {
  if (sk === undefined) return flags;
  if (flags.sk !== undefined) throw new ArchipelError('bad-request', 'The sort key is given twice.');
  return { ...flags, sk };
}

async function showWritten(session: Session, item: Item, written: Written, isDelete = false): Promise<number> {
  const { outcome, created, etag, context, isReplicated, replicatedTo, operation, attempts, servedBy } = written;
  const code = isReplicated === false ? EXIT.no : EXIT.done;
  if (session.isJson) {
    await session.json({ collection: item.collection, ...keyFields(item), outcome, created, etag, context, replicatedTo, isReplicated, idempotencyKey: operation, attempts, servedBy });
    return code;
  }
  const { style } = session;
  const what = outcome === 'stored' && isDelete ? 'deleted' : outcome;
  const parts = [style.good(what), `in ${servedBy.region}`, ...(etag === undefined ? [] : [`etag ${etag}`]), ...(replicatedTo === undefined ? [] : [`also in ${replicatedTo.length === 0 ? 'no other region yet' : replicatedTo.join(', ')}`])];
  await session.line(parts.join(style.dim(' · ')));
  const meaning = MEANINGS[outcome];
  if (meaning !== undefined) session.note(meaning);
  if (isReplicated === false) session.note('Stored here, but not yet in as many regions as asked; replication goes on.');
  return code;
}

const MEANINGS: Readonly<Record<string, string>> = {
  sibling: 'Another value stands beside it: read the item, merge, and write with --context.',
  superseded: 'A newer write of the item stands; this one is in the loss ledger.',
  duplicate: 'This operation was here before; nothing was written again.',
};

// Reading ---------------------------------------------------------------------------------------------------------------------

interface GetFlags extends ItemFlags {
  readonly siblings?: string;
  readonly out?: string;
  readonly verbose?: boolean;
}

export function addGet(program: Command, terminal: Terminal): void {
  const command = program
    .command('get')
    .description('read an item: its value as it was written')
    .argument('<collection>')
    .argument('<pk>', 'the partition key')
    .argument('[sk]', 'the sort key (or --sk)')
    .option('--siblings <which>', 'of several values: winner, or all')
    .option('--out <file>', 'write the value to a file')
    .option('--verbose', 'tell tag, context and who answered on standard error');
  withConnection(withItem(command))
    .addHelpText('after', `
Several values (siblings) are listed, and the exit code is 2, unless --siblings says what to do with them.

Examples:
  archipel get demo greeting
  archipel get carts alice 2026 --verbose
  archipel get demo greeting --lat 50.1 --lon 8.7     as a viewer in Frankfurt
  archipel get demo greeting --region us-east-1
  archipel get photos cat --out cat.png
${EXIT_CODES_HELP}`)
    .action((collection: string, pk: string, sk: string | undefined, flags: GetFlags) =>
      withSession(terminal, flags, async (session) => {
        const item = itemOf(collection, pk, withSortKey(flags, sk));
        const { siblings } = flags;
        if (siblings !== undefined && siblings !== 'winner' && siblings !== 'all') throw new ArchipelError('bad-request', `--siblings is winner or all, not ${JSON.stringify(siblings)}.`);
        const client = await session.forItems();
        const read = await client.get(item, { ...viewerOf(flags), ...(siblings === undefined ? {} : { siblings }) });
        return session.isJson ? showReadJson(session, item, read, flags) : showRead(session, read, flags);
      }),
    );
}

async function showReadJson(session: Session, item: Item, read: Read, flags: GetFlags): Promise<number> {
  const name = { collection: item.collection, ...keyFields(item) };
  if (read.type !== 'value') {
    await session.json({ ...name, ...read });
    return read.type === 'siblings' && flags.siblings !== undefined ? EXIT.done : EXIT.no;
  }
  const { type, bytes, contentType, expires, ...rest } = read;
  await session.json({ ...name, type, ...valueFields(bytes, contentType), ...rest, ...(expires === undefined ? {} : { expires: expires.toISOString() }) });
  return EXIT.done;
}

async function showRead(session: Session, read: Read, flags: GetFlags): Promise<number> {
  if (flags.verbose === true) session.note(details(read));
  if (read.type === 'absent') {
    session.note('There is no such item.');
    return EXIT.no;
  }
  if (read.type === 'siblings') return showSiblings(session, read, flags);
  if (flags.out === undefined) await writeValue(session, read.bytes, read.contentType);
  else writeFile(flags.out, read.bytes);
  if (read.conflicts !== undefined) session.note(`This is the winner of ${plural(read.conflicts, 'sibling')}.`);
  return EXIT.done;
}

/** To a terminal only text, and with a line end; into a pipe the bytes as they are. */
async function writeValue({ terminal }: Session, content: Uint8Array, contentType: string): Promise<void> {
  if (!terminal.out.isTty) return terminal.out.write(content);
  const text = utf8Text(content);
  if (text === undefined || /[\u0000-\u0008\u000e-\u001f]/.test(text)) throw new ArchipelError('bad-request', `The value is ${content.length} bytes of ${contentType}, nothing for a terminal: write it with --out, or into a pipe.`);
  await terminal.out.write(text.endsWith('\n') ? text : `${text}\n`);
}

function writeFile(file: string, content: Uint8Array): void {
  try {
    writeFileSync(file, content);
  } catch (error) {
    throw new ArchipelError('bad-request', `The file ${file} cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)}).`, {}, error);
  }
}

function details(read: Read): string {
  const { servedBy } = read;
  const origin = servedBy.origin === undefined ? '' : `, written in ${servedBy.origin} ${duration(servedBy.ageMs ?? 0)} ago`;
  const lines = [`served by  ${servedBy.region}${origin}`];
  if (read.type !== 'absent') lines.push(`etag       ${read.etag}`);
  if (read.context !== undefined) lines.push(`context    ${read.context}`);
  if (read.type === 'value') lines.push(`type       ${printable(read.contentType)}`);
  if (read.type === 'value' && read.expires !== undefined) lines.push(`expires    ${read.expires.toISOString()}`);
  return lines.join('\n');
}

async function showSiblings(session: Session, { siblings, context }: Extract<Read, { type: 'siblings' }>, flags: GetFlags): Promise<number> {
  const { style } = session;
  const rows = siblings.map((value) => [value.region, value.writtenAt, showValue(value)]);
  await session.line(`${plural(siblings.length, 'value')}:`);
  await session.terminal.out.write(table([{ title: 'written in' }, { title: 'at' }, { title: 'value' }], rows, style));
  if (siblings.length < 2) return EXIT.done;
  session.note(`They were written concurrently. Merge them, and write with --context ${context}`);
  return flags.siblings === undefined ? EXIT.no : EXIT.done;
}

// Explaining ------------------------------------------------------------------------------------------------------------------

export function addExplain(program: Command, terminal: Terminal): void {
  const command = program.command('explain').description('tell why an item has the value that it has').argument('<collection>').argument('<pk>', 'the partition key').argument('[sk]', 'the sort key (or --sk)');
  withConnection(withItem(command))
    .addHelpText('after', `
Shows every candidate with its dot (who wrote it, when), the rule by which it stands or not, and the losers in the ledger.

Examples:
  archipel explain demo greeting
  archipel explain carts alice 2026 --region us-east-1
${EXIT_CODES_HELP}`)
    .action((collection: string, pk: string, sk: string | undefined, flags: ItemFlags) =>
      withSession(terminal, flags, async (session) => {
        const item = itemOf(collection, pk, withSortKey(flags, sk));
        const client = await session.forItems();
        const explanation = await client.explain(item, viewerOf(flags));
        if (session.isJson) await session.json({ collection, ...keyFields(item), ...explanation });
        else await showExplanation(session, explanation);
      }),
    );
}

async function showExplanation(session: Session, { policy, candidates, context, losers, servedBy }: Explanation & { readonly servedBy: { readonly region: string } }): Promise<void> {
  const { style } = session;
  const out = session.terminal.out;
  await session.line(`policy ${style.bold(policy)}${style.dim(` · as ${servedBy.region} sees it`)}`);
  await session.line();
  const rows = candidates.map(({ dot, region, stamp, verdict, because }) => [verdict === 'stands' ? style.good(verdict) : verdict, region, stamp, because, style.dim(dot)]);
  await out.write(table([{ title: 'verdict' }, { title: 'written in' }, { title: 'at' }, { title: 'because' }, { title: 'dot' }], rows, style));
  await session.line();
  await session.line(style.dim('  context: the newest write seen of each actor'));
  for (const [actor, stamp] of Object.entries(context)) await session.line(`  ${actor} ${stamp}`);
  if (losers.length === 0) return;
  await session.line();
  const lost = losers.map(({ id, rule, at, dot, winner }) => [id, rule, at, style.dim(`${dot}${winner === undefined ? '' : ` lost to ${winner}`}`)]);
  await out.write(table([{ title: 'lost' }, { title: 'rule' }, { title: 'at' }, { title: 'dot' }], lost, style));
}
