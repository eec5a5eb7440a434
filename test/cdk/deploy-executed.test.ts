// npm run deploy and npm run destroy, executed: the scripts as they are, in a copy of the project in which another program
// stands for the CDK's command line and notes what it is asked. What the real one reads from the same templates is asked of it.

import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readAddresses } from '../../functions/commons/addresses.ts';
import { DynamoTable } from '../../src/adapters/aws/dynamo-table.ts';
import { NodeClock } from '../../src/adapters/node/clock.ts';
import { nodeRandom } from '../../src/adapters/node/crypto.ts';
import { hasDynoxide, makeTable, NO_DYNOXIDE, startDynoxide } from '../contract/emulators.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const SOURCES = ['cdk', 'functions', 'scripts', 'src', 'cdk.json', 'package.json', 'tsconfig.json'];

const FAKE = `
const { appendFileSync, readFileSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const args = process.argv.slice(2);
const { artifacts } = JSON.parse(readFileSync(join(args[args.indexOf('--app') + 1], 'manifest.json'), 'utf8'));
const stacks = Object.entries(artifacts).filter(([, { type }]) => type === 'aws:cloudformation:stack');
const needs = Object.fromEntries(stacks.map(([id, { dependencies = [] }]) => [id, dependencies.filter((other) => stacks.some(([stack]) => stack === other))]));
const file = args[args.indexOf('--outputs-file') + 1];
if (args.includes('--outputs-file')) writeFileSync(file, JSON.stringify(Object.fromEntries(stacks.map(([id]) => [id, { Host: id + '.example' }]))));
appendFileSync(join(process.cwd(), 'asked'), JSON.stringify({ args, needs }) + '\\n');
process.exit(Number(process.env.FAKE_CODE));
`;

interface Asked {
  readonly args: readonly string[];
  readonly needs: Readonly<Record<string, readonly string[]>>;
}

interface World {
  /** What the other program ends with. */
  readonly code?: number;
  /** Where the tables are. */
  readonly dynamo?: string;
}

interface Ended {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
  readonly asked: readonly Asked[];
}

if (!hasDynoxide) console.log(`npm run deploy, told to every region: skipped, ${NO_DYNOXIDE}`);

describe('npm run', () => {
  let copy: string;
  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'archipel-deploy-'));
    for (const source of SOURCES) cpSync(join(root, source), join(copy, source), { recursive: true });
    const modules = join(copy, 'node_modules');
    mkdirSync(join(modules, 'aws-cdk/bin'), { recursive: true });
    for (const name of readdirSync(join(root, 'node_modules'))) if (name !== 'aws-cdk') symlinkSync(join(root, 'node_modules', name), join(modules, name));
    writeFileSync(join(modules, 'aws-cdk/bin/cdk'), FAKE);
  });
  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  /** As package.json says it. */
  function run(script: string, args: readonly string[], { code = 0, dynamo = 'http://127.0.0.1:1' }: World = {}): Ended {
    const { scripts } = JSON.parse(readFileSync(join(copy, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
    const [, file = '', ...rest] = (scripts[script] ?? '').split(' ');
    const asked = join(copy, 'asked');
    rmSync(asked, { force: true });
    const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...rest, ...args], { cwd: copy, encoding: 'utf8', input: '', env: { ...process.env, FAKE_CODE: String(code), AWS_ENDPOINT_URL_DYNAMODB: dynamo, AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' } });
    return { status, out: stdout, err: stderr, asked: existsSync(asked) ? readFileSync(asked, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Asked) : [] };
  }

  it('deploy: refuses what is wrong, with one sentence, and runs nothing', () => {
    writeFileSync(join(copy, 'deployment.json'), JSON.stringify({ nmae: 'shop' }));
    for (const [args, sentence] of [[['--config', 'deployment.json', '--yes'], 'nmae'], [['--regions', '0', '--yes'], '--regions takes 1 to 20 regions.'], [[], 'Nobody can be asked here.']] as const) {
      const { status, err, asked } = run('deploy', args);
      expect([status, asked]).toEqual([1, []]);
      expect(err).toContain(sentence);
      expect(err.trim().split('\n').length).toBeLessThanOrEqual(3);
    }
    expect(existsSync(join(copy, 'cdk.out'))).toBe(false);
  });

  it.skipIf(!hasDynoxide)('deploy: asks the CDK for all stacks, of which the edge’s alone depends on others, and tells every region where all are reached', async () => {
    writeFileSync(join(copy, 'deployment.json'), JSON.stringify({ name: 'shop', regions: ['us-east-1', 'eu-west-1'], retention: { logDays: 7 } }));
    const dynamo = await startDynoxide();
    try {
      for (const region of ['us-east-1', 'eu-west-1']) await makeTable(dynamo.client, `shop-${region}`);
      const { status, out, err, asked } = run('deploy', ['--config', 'deployment.json', '--yes'], { dynamo: dynamo.endpoint });
      expect([status, err]).toEqual([0, '']);
      expect(out).toContain('deploy: shop-us-east-1, shop-eu-west-1, shop-edge\n');
      expect(asked).toEqual([
        {
          args: ['--app', join(copy, 'cdk.out'), 'deploy', '--all', '--concurrency', '8', '--require-approval', 'never', '--outputs-file', join(copy, 'cdk.out/outputs.json')],
          needs: { 'shop-us-east-1': [], 'shop-eu-west-1': [], 'shop-edge': ['shop-us-east-1', 'shop-eu-west-1'] },
        },
      ]);
      for (const region of ['us-east-1', 'eu-west-1']) {
        const table = new DynamoTable({ client: dynamo.client, tableName: `shop-${region}`, clock: new NodeClock(), random: nodeRandom });
        expect(await readAddresses(table)).toEqual({ 'us-east-1': 'https://shop-us-east-1.example', 'eu-west-1': 'https://shop-eu-west-1.example' });
      }
    } finally {
      await dynamo.stop();
    }
  });

  it('destroy: asks it to delete all of them, and ends as it ends', () => {
    const { status, out, asked } = run('destroy', ['--regions', 'eu-west-1', '--yes'], { code: 7 });
    expect([status, out]).toEqual([7, 'destroy: archipel-eu-west-1, archipel-edge\n']);
    expect(asked.map(({ args }) => args)).toEqual([['--app', join(copy, 'cdk.out'), 'destroy', '--all', '--concurrency', '8', '--force']]);
  });

  it('the CDK’s own command line finds the same order in the templates', () => {
    const listed = execFileSync(process.execPath, [join(root, 'node_modules/aws-cdk/bin/cdk'), '--app', join(copy, 'cdk.out'), '--no-notices', 'list', '--show-dependencies', '--json'], { cwd: copy, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, CDK_DISABLE_CLI_TELEMETRY: 'true', CDK_DISABLE_VERSION_CHECK: 'true' } });
    const stacks = (JSON.parse(listed) as { id: string; dependencies: { id: string }[] }[]).map(({ id, dependencies }) => [id, dependencies.map((each) => each.id)]);
    expect(stacks).toEqual([['archipel-eu-west-1', []], ['archipel-edge', ['archipel-eu-west-1']]]);
  });
});
