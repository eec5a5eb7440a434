// `key create|list|revoke`: bearer keys.

import type { Command } from 'commander';
import type { KeyRequest } from '../../client/types.ts';
import { parseDuration } from '../../config/options.ts';
import { ArchipelError } from '../../core/errors.ts';
import { EXIT_CODES_HELP } from '../exit.ts';
import { printable, table } from '../output.ts';
import { withConnection, withSession, type ConnectionFlags } from '../session.ts';
import type { Terminal } from '../terminal.ts';

const TEN_YEARS_MS = 315_360_000_000;
const SCOPES = ['read', 'write', 'admin'] as const;

const collect = (value: string, before: readonly string[]): string[] => [...before, ...value.split(',').map((part) => part.trim())];

interface CreateFlags extends ConnectionFlags {
  readonly scope: readonly string[];
  readonly collection: readonly string[];
  readonly prefix: readonly string[];
  readonly expires?: string;
}

export function addKey(program: Command, terminal: Terminal): void {
  const group = program.command('key').description('create, list and revoke bearer keys').helpCommand(false);
  addCreate(group, terminal);
  addList(group, terminal);
  addRevoke(group, terminal);
}

function addCreate(group: Command, terminal: Terminal): void {
  const command = group
    .command('create')
    .description('make a key, good in every region; its secret is shown once')
    .option('--scope <scopes>', 'read, write, admin; may be repeated', collect, [])
    .option('--collection <names>', 'collections, or beginnings of names with a *; may be repeated (default: all)', collect, [])
    .option('--prefix <text>', 'only items whose pk begins so; may be repeated', (value: string, before: readonly string[]) => [...before, value], [])
    .option('--expires <when>', 'a time like 30d from now, or a date like 2027-01-31T00:00:00Z (default: never)');
  withConnection(command)
    .addHelpText('after', `
Examples:
  archipel key create --scope read,write --collection carts
  archipel key create --scope read --collection 'tenant1.*' --expires 30d
  KEY=$(archipel key create --scope read --json | jq -r .key)
${EXIT_CODES_HELP}`)
    .action((flags: CreateFlags) =>
      withSession(terminal, flags, async (session) => {
        const request = requestOf(flags);
        const client = await session.forRoutes();
        const { id, key } = await client.createKey(request);
        if (session.isJson) return session.json({ id, key, ...request });
        await session.line(key);
        session.note(`It is shown this once. Revoke it with: archipel key revoke ${id}`);
      }),
    );
}

function requestOf({ scope, collection, prefix, expires }: CreateFlags): KeyRequest {
  if (scope.length === 0) throw new ArchipelError('bad-request', 'Give at least one --scope: read, write or admin.');
  const foreign = scope.find((each) => !(SCOPES as readonly string[]).includes(each));
  if (foreign !== undefined) throw new ArchipelError('bad-request', `--scope is read, write or admin, not ${JSON.stringify(foreign)}.`);
  return {
    scopes: scope as (typeof SCOPES)[number][],
    ...(collection.length === 0 ? {} : { collections: [...collection] }),
    ...(prefix.length === 0 ? {} : { prefixes: [...prefix] }),
    ...(expires === undefined ? {} : { expires: parseExpires(expires) }),
  };
}

function parseExpires(text: string): string {
  if (/^[0-9]+[a-z]+$/.test(text)) return new Date(Date.now() + parseDuration('--expires', text, TEN_YEARS_MS)).toISOString();
  const ms = /^[0-9]{4}-[0-9]{2}-[0-9]{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (!(ms > Date.now())) throw new ArchipelError('bad-request', `--expires is a time like 30d, or a date to come like 2027-01-31T00:00:00Z, not ${JSON.stringify(text)}.`);
  return new Date(ms).toISOString();
}

function addList(group: Command, terminal: Terminal): void {
  const command = group.command('list').description('list the keys, without their secrets');
  withConnection(command)
    .addHelpText('after', `
The admin key of a local cluster is given to its processes and stands in no list.

Examples:
  archipel key list
${EXIT_CODES_HELP}`)
    .action((flags: ConnectionFlags) =>
      withSession(terminal, flags, async (session) => {
        const client = await session.forRoutes();
        const keys = await client.keys();
        if (session.isJson) return session.json({ keys });
        const rows = keys.map(({ id, scopes, collections, prefixes, expires, created }) => [id, scopes.join(' '), collections.join(' '), printable((prefixes ?? []).join(' ')), expires ?? 'never', created]);
        await session.terminal.out.write(table([{ title: 'id' }, { title: 'scopes' }, { title: 'collections' }, { title: 'prefixes' }, { title: 'expires' }, { title: 'created' }], rows, session.style));
      }),
    );
}

function addRevoke(group: Command, terminal: Terminal): void {
  const command = group.command('revoke').description('revoke a key, in every region that can be reached at once').argument('<id>', 'as key list shows it: the part between ak_ and the next _');
  withConnection(command)
    .addHelpText('after', `
Examples:
  archipel key revoke 3f2a9c01d4e5
${EXIT_CODES_HELP}`)
    .action((id: string, flags: ConnectionFlags) =>
      withSession(terminal, flags, async (session) => {
        const client = await session.forRoutes();
        await client.revokeKey(id);
        await (session.isJson ? session.json({ id, revoked: true }) : session.line(`${session.style.good('revoked')} ${id}`));
      }),
    );
}
