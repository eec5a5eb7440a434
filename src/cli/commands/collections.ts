// `collection create|show|list`.

import type { Command } from 'commander';
import type { Collection, Policy } from '../../client/types.ts';
import { parseDuration, parseWhole } from '../../config/options.ts';
import { ArchipelError } from '../../core/errors.ts';
import { isSystemCollection } from '../../core/keys/item-key.ts';
import { VALUE_BYTES_HARD_MAX } from '../../core/limits.ts';
import { EXIT, EXIT_CODES_HELP } from '../exit.ts';
import { bytes, duration, table } from '../output.ts';
import { withConnection, withSession, type ConnectionFlags, type Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';

const TEN_YEARS_MS = 315_360_000_000;

interface CreateFlags extends ConnectionFlags {
  readonly conflict: string;
  readonly regions?: string;
  readonly replicas?: string;
  readonly ttl?: string;
  readonly maxValueBytes?: string;
  readonly requireContext?: boolean;
}

export function addCollection(program: Command, terminal: Terminal): void {
  const group = program.command('collection').description('create collections, and show their policies').helpCommand(false);
  addCreate(group, terminal);
  addShow(group, terminal);
  addList(group, terminal);
}

function addCreate(group: Command, terminal: Terminal): void {
  const command = group
    .command('create')
    .description('create a collection; every region has to know it before it takes items')
    .argument('<name>', '1 to 64 of A-Z a-z 0-9 _ . -, not beginning with _')
    .option('--conflict <rule>', 'concurrent writes: lww (the larger stamp stands, the loser is ledgered) or siblings (all are kept)', 'lww')
    .option('--regions <ids>', 'the only regions that may hold the data, separated by commas (default: all)')
    .option('--replicas <n>', 'regions that hold each partition (default: the cluster’s)')
    .option('--ttl <time>', 'expiry of items that bring none of their own, like 90s or 30d')
    .option('--max-value-bytes <n>', `larger values, up to ${VALUE_BYTES_HARD_MAX} (lww only)`)
    .option('--require-context', 'a write to an existing item must bring a context or a precondition');
  withConnection(command)
    .addHelpText('after', `
Placement (--regions, --replicas) is fixed at creation. Creating a collection that is there with the same policy is done at once.
The exit code is 2 when one is there with another policy, or when a region does not know the new one yet.

Examples:
  archipel collection create carts --conflict siblings
  archipel collection create eu-users --regions eu-central-1 --require-context
  archipel collection create sessions --ttl 30d --replicas 2
${EXIT_CODES_HELP}`)
    .action((name: string, flags: CreateFlags) =>
      withSession(terminal, flags, async (session) => {
        // The region would say that no key is for it, which is true and does not help.
        if (isSystemCollection(name)) throw new ArchipelError('bad-request', 'A collection name does not begin with _.');
        const client = await session.forRoutes();
        const { collection, created } = await client.createCollection(name, policyOf(flags));
        if (session.isJson) await session.json({ ...collection, isNew: created });
        else await show(session, collection, created ? 'created' : 'was there, with this policy');
        if (collection.state === 'active') return EXIT.done;
        session.note('Not every region knows it yet. It takes items as soon as they do; create it again to see.');
        return EXIT.no;
      }),
    );
}

function policyOf({ conflict, regions, replicas, ttl, maxValueBytes, requireContext }: CreateFlags): Policy {
  if (conflict !== 'lww' && conflict !== 'siblings') throw new ArchipelError('bad-request', `--conflict is lww or siblings, not ${JSON.stringify(conflict)}.`);
  return {
    conflict,
    ...(regions === undefined ? {} : { regions: regions === 'all' ? 'all' : regions.split(',').map((id) => id.trim()) }),
    ...(replicas === undefined ? {} : { replicas: parseWhole('--replicas', replicas, 1, 32) }),
    ...(ttl === undefined ? {} : { ttlSeconds: Math.max(1, Math.round(parseDuration('--ttl', ttl, TEN_YEARS_MS) / 1_000)) }),
    ...(maxValueBytes === undefined ? {} : { maxValueBytes: parseWhole('--max-value-bytes', maxValueBytes, 1, VALUE_BYTES_HARD_MAX) }),
    ...(requireContext === true ? { requireContext } : {}),
  };
}

function addShow(group: Command, terminal: Terminal): void {
  const command = group.command('show').description('show the policy of a collection').argument('<name>');
  withConnection(command)
    .addHelpText('after', `
Examples:
  archipel collection show demo
${EXIT_CODES_HELP}`)
    .action((name: string, flags: ConnectionFlags) =>
      withSession(terminal, flags, async (session) => {
        const client = await session.forRoutes();
        const collection = await client.collection(name);
        await (session.isJson ? session.json(collection) : show(session, collection));
      }),
    );
}

function addList(group: Command, terminal: Terminal): void {
  const command = group.command('list').description('list the collections that the key may use');
  withConnection(command)
    .addHelpText('after', `
Examples:
  archipel collection list
  archipel collection list --json | jq -r '.collections[].name'
${EXIT_CODES_HELP}`)
    .action((flags: ConnectionFlags) =>
      withSession(terminal, flags, async (session) => {
        const client = await session.forRoutes();
        const collections = await client.collections();
        if (session.isJson) return session.json({ collections });
        const rows = collections.map(({ name, conflict, regions, replicas, ttlSeconds, state, created }) => [name, conflict, regionsText(regions), String(replicas), ttlSeconds === undefined ? '' : duration(ttlSeconds * 1_000), state, created]);
        await session.terminal.out.write(table([{ title: 'name' }, { title: 'conflict' }, { title: 'regions' }, { title: 'replicas', right: true }, { title: 'ttl', right: true }, { title: 'state' }, { title: 'created' }], rows, session.style));
      }),
    );
}

const regionsText = (regions: Collection['regions']): string => (regions === 'all' ? 'all' : regions.join(', '));

async function show({ terminal, style }: Session, collection: Collection, what?: string): Promise<void> {
  const { name, conflict, regions, replicas, ttlSeconds, maxValueBytes, requireContext, group, created, state } = collection;
  const fields: [string, string | undefined][] = [
    ['conflict', conflict],
    ['regions', regionsText(regions)],
    ['replicas', String(replicas)],
    ['ttl', ttlSeconds === undefined ? undefined : duration(ttlSeconds * 1_000)],
    ['values up to', maxValueBytes === undefined ? undefined : bytes(maxValueBytes)],
    ['context', requireContext === true ? 'required' : undefined],
    ['state', state],
    ['group', group],
    ['created', created],
  ];
  const lines = fields.flatMap(([label, value]) => (value === undefined ? [] : [`  ${style.dim(label.padEnd(12))}  ${value}\n`]));
  await terminal.out.write(`${style.bold(name)}${what === undefined ? '' : style.dim(` · ${what}`)}\n${lines.join('')}`);
}
