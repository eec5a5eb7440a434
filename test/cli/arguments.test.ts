// What is wrong with the arguments is told in one sentence, before anything is asked or touched.

import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import type { Command } from 'commander';
import { archipel, FakeTerminal } from './support.ts';

const NOWHERE = ['--url', 'http://127.0.0.1:9'];

const REFUSED: readonly (readonly [args: string, sentence: string])[] = [
  ['up --bogus', "Unknown option '--bogus'. Add --help for what there is."],
  ['bogus', "Unknown command 'bogus'. Add --help for what there is."],
  ['gett demo x', "Unknown command 'gett'. Did you mean get? Add --help for what there is."],
  ['get demo', "Missing required argument 'pk'. Add --help for what there is."],
  ['up extra', "Too many arguments for 'up'. Expected 0 arguments but got 1: extra. Add --help for what there is."],
  ['up --port abc', '--port is a whole number from 1 to 65514, not "abc".'],
  ['up --port 65535', '--port is a whole number from 1 to 65514, not "65535".'],
  ['up --regions 0', '--regions takes 1 to 20 regions.'],
  ['up --regions 21', '--regions takes 1 to 20 regions.'],
  ['up --regions us-east-1,US', 'Not a region id: "US". Lower case letters, digits and hyphens, like eu-central-1.'],
  ['up --regions us-east-1,us-east-1', '--regions names a region twice.'],
  ['up --replicas 4', '--replicas is a whole number from 1 to 3, not "4".'],
  ['up --durability never', '--durability is sync or relaxed, not "never".'],
  ['up --reconcile-every 5', '--reconcile-every is off or a time like 60s (100ms to 24d), not "5".'],
  ['up --reconcile-every 99d', '--reconcile-every is off or a time like 60s (100ms to 24d), not "99d".'],
  ['up --hedge-ms 0', '--hedge-ms is a whole number from 1 to 60000, not "0".'],
  ['up --observers-agree 0', '--observers-agree is a whole number from 1 to 20, not "0".'],
  ['up --tls-cert /x', '--tls-cert and --tls-key go together.'],
  ['up --link nonsense', '--link is from>to=url, not "nonsense".'],
  ['up --clock-offset-dir /x', '--clock-offset-dir is for tests: it needs --unsafe-testing.'],
  ['region --id Bad --listen 127.0.0.1:1 --data /x', 'Not a region id: "Bad".'],
  ['region --id a --listen nonsense --data /x', '--listen is host:port, not "nonsense".'],
  ['region --id a --listen 0.0.0.0:1 --data /x --no-auth', '--no-auth is for loopback addresses only.'],
  ['region --id a --listen 127.0.0.1:1 --data /x', 'Give --admin-key-file, or --no-auth on loopback.'],
  ['region --id a --listen 127.0.0.1:1 --data /x --no-auth --peer b', 'Expected region=url, like us-east-1=http://127.0.0.1:7403, not "b".'],
  ['region --id a --listen 127.0.0.1:1 --data /x --no-auth --peer a=http://h:1', 'Each --peer is another region, named once.'],
  ['region --id a --listen 127.0.0.1:1 --data /x --no-auth --peer b=http://h:1', 'Regions with peers share a secret: give --secret-file.'],
  ['region --id a --listen 127.0.0.1:1 --data /x --no-auth --grace-ms 100', '--grace-ms is for tests: it needs --unsafe-testing.'],
  ['region --id a --listen 127.0.0.1:1 --data /x --no-auth --clock-offset-file /x', '--clock-offset-file is for tests: it needs --unsafe-testing.'],
  ['region --id a --listen 127.0.0.1:1 --data /x --no-auth --secret-file /dev/null', 'The file /dev/null holds no secret that regions could share: it has to have 16 characters at least.'],
  ['up --link eu-central-1>mars=http://h:1 --data /x --regions eu-central-1,us-east-1', '--link is between two of the regions, not "eu-central-1>mars".'],
  ['region --id a --listen 127.0.0.1:1 --data /x --admin-key-file /dev/null', 'The file /dev/null holds no key of the form ak_<id>_<secret>.'],
  ['edge --listen 127.0.0.1:1', 'Give at least one --region id=url.'],
  ['topology lose eu-central-1 --url http://127.0.0.1:9', 'What eu-central-1 has not passed on is lost, unless it comes back after all: add --yes.'],
  ['dump', "Required option '--region <id>' not specified. Add --help for what there is."],
  ['get demo x --data /nonexistent', 'No cluster is running on /nonexistent (there is no cluster.json). Start one with npm start, or give --data, or --url and --key.'],
  ['get demo x --url http://h --data /x', '--url and --data are two ways to say the same: give one of them.'],
  ['get demo x --url nonsense', '--url is like http://127.0.0.1:7400, not "nonsense".'],
  ['get demo x --url http://h:1/v1', '--url is like http://127.0.0.1:7400, not "http://h:1/v1".'],
  ['get demo x --url http://h:1,nonsense', '--url is like http://127.0.0.1:7400, not "nonsense".'],
  [`get demo x ${NOWHERE.join(' ')} --hedge soon`, '--hedge is a time like 500ms, 60s, 5m, 2h or 7d (at most 24d), not "soon".'],
  [`get demo x ${NOWHERE.join(' ')} --timeout soon`, '--timeout is a time like 500ms, 60s, 5m, 2h or 7d (at most 24d), not "soon".'],
  [`get demo x ${NOWHERE.join(' ')} --lat 5`, '--lat and --lon go together.'],
  [`get demo x ${NOWHERE.join(' ')} --lat 95 --lon 0`, '--lat is a number from -90 to 90, not "95".'],
  [`get demo x ${NOWHERE.join(' ')} --siblings some`, '--siblings is winner or all, not "some".'],
  [`get demo x y ${NOWHERE.join(' ')} --sk y`, 'The sort key is given twice.'],
  [`get demo %% ${NOWHERE.join(' ')} --base64url-keys`, 'The pk is not base64url without padding: "%%".'],
  [`put demo x ${NOWHERE.join(' ')}`, 'Give a value, or --file, or pipe one in.'],
  [`put demo x v --file f ${NOWHERE.join(' ')}`, 'Give a value or --file, not both.'],
  [`put demo x --file /nonexistent ${NOWHERE.join(' ')}`, 'The file /nonexistent cannot be read (ENOENT).'],
  [`put demo x v --ttl soon ${NOWHERE.join(' ')}`, '--ttl is a time like 500ms, 60s, 5m, 2h or 7d (at most 3650d), not "soon".'],
  [`put demo x v --replicate-to 33 ${NOWHERE.join(' ')}`, '--replicate-to is a whole number from 0 to 32, not "33".'],
  [`scan demo --all --limit 5 ${NOWHERE.join(' ')}`, 'Give --all or --limit, not both.'],
  [`collection create _x ${NOWHERE.join(' ')}`, 'A collection name does not begin with _.'],
  [`collection create x --conflict mine ${NOWHERE.join(' ')}`, '--conflict is lww or siblings, not "mine".'],
  [`conflicts list x --state gone ${NOWHERE.join(' ')}`, '--state is lost or siblings, not "gone".'],
  [`conflicts list x --since yore ${NOWHERE.join(' ')}`, '--since is a time ago like 1h, or a date like 2026-11-20T10:00:00Z, not "yore".'],
  [`key create ${NOWHERE.join(' ')}`, 'Give at least one --scope: read, write or admin.'],
  [`key create --scope all ${NOWHERE.join(' ')}`, '--scope is read, write or admin, not "all".'],
  [`key create --scope read --expires never ${NOWHERE.join(' ')}`, '--expires is a time like 30d, or a date to come like 2027-01-31T00:00:00Z, not "never".'],
  ['cost --regions 0', '--regions is a whole number from 1 to 20, not "0".'],
  ['cost --regions 2 --replicas 3', '--replicas is a whole number from 1 to 2, not "3".'],
  ['cost --skew 3', '--skew is a number from 0 to 2, not "3".'],
  ['drill run flapping --on nowhere', '--on is local, sim, aws-local or addresses like http://127.0.0.1:7400, not "nowhere".'],
  ['drill run flapping --do x', '--do is for a drill at given addresses: on local and sim every step can be done.'],
  ['drill run flapping --on http://h:1,h', 'Each address of --on is like http://127.0.0.1:7400, not "h".'],
  ['drill run split-brain --on http://h:1,http://h:2', 'split-brain is for 3 regions: --on takes the address of the edge, and those of 3 regions behind it.'],
  ['drill run flapping --on http://h:1,http://h:2,http://h:3,http://h:4', 'HTTP cannot do a step of flapping (kill -9 the first region): give --do a command that does it.'],
  ['drill run hint-overflow --on http://h:1,http://h:2,http://h:3,http://h:4 --do x', 'hint-overflow says how regions are started (horizon, hints), and those at given addresses run already: run it on local or sim.'],
  ['drill run long-outage --on http://h:1,http://h:2,http://h:3,http://h:4 --do x --control', 'The known bug hints-not-kept is in how regions are started, and those at given addresses run already.'],
  [`replication pause a a ${NOWHERE.join(' ')}`, 'Name two different regions.'],
];

describe('arguments that are refused', () => {
  it.each(REFUSED)('archipel %s', async (args, sentence) => {
    expect(await archipel(args.split(' '))).toEqual({ code: 1, out: '', err: `${sentence}\n` });
  });

  it('with --json the sentence is a line of JSON', async () => {
    const { code, err } = await archipel(['get', 'demo', 'x', '--data', '/nonexistent', '--json']);
    expect(code).toBe(1);
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'bad-request', retryable: false } });
  });
});

describe('which cluster', () => {
  const nobody = (env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<{ readonly err: string }> => archipel(['get', 'demo', 'x', '--timeout', '50ms', ...args], new FakeTerminal({ env }));

  it('is named by --url before ARCHIPEL_URL, and by --data before it too', async () => {
    expect((await nobody({ ARCHIPEL_URL: 'http://127.0.0.1:1' })).err).toContain('http://127.0.0.1:1 gave no answer (nothing listens there).');
    expect((await nobody({ ARCHIPEL_URL: 'http://127.0.0.1:1' }, '--url', 'http://127.0.0.1:2')).err).toContain('http://127.0.0.1:2 gave no answer');
    expect((await nobody({ ARCHIPEL_URL: 'http://127.0.0.1:1, http://127.0.0.1:2' })).err).toContain('http://127.0.0.1:2 gave no answer'); // the last that was asked
    expect((await nobody({ ARCHIPEL_URL: 'http://127.0.0.1:1' }, '--data', '/nonexistent')).err).toContain('No cluster is running on /nonexistent');
  });
});

describe('help', () => {
  const commandsOf = (command: Command): Command[] => command.commands.flatMap((each) => (each.commands.length === 0 ? [each] : commandsOf(each)));
  const nameOf = (command: Command): string => (command.parent === null ? '' : `${nameOf(command.parent)} ${command.name()}`.trim());
  const names = commandsOf(buildProgram(new FakeTerminal())).map(nameOf).filter((name) => name !== 'help');

  it('knows the commands of the product', () => {
    expect(names).toEqual([
      'demo', 'up', 'region', 'edge', 'witness', 'put', 'get', 'del', 'range', 'scan', 'explain',
      'collection create', 'collection show', 'collection list', 'key create', 'key list', 'key revoke',
      'status', 'top', 'conflicts list', 'conflicts restore', 'conflicts accept', 'reconcile', 'replication pause', 'replication resume',
      'topology show', 'topology drain', 'topology return', 'topology fence', 'topology lose', 'topology promote', 'dump',
      'drill list', 'drill run', 'drill compare', 'drill schedule', 'cost',
    ]);
  });

  it.each(names)('archipel %s --help has examples, exit codes and --json', async (name) => {
    const { code, out, err } = await archipel([...name.split(' '), '--help']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain(`archipel ${name}`);
    expect(out).toMatch(/\nExamples:\n {2}\S/);
    expect(out).toMatch(/\nExit codes:/);
    expect(out).toContain('--json');
  });

  it('archipel alone shows the commands, and is no success', async () => {
    const { code, err } = await archipel([]);
    expect(code).toBe(1);
    expect(err).toContain('Usage: archipel');
  });
});
