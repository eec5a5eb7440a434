// No secret is in a template, nor in what a function is told by it: names of parameters are, and only where a right is given.

import { afterEach, expect, it, vi } from 'vitest';
import { leaksIn, type Secret } from '../functions/said.ts';
import { file, ofType, synthesise, type Template } from './synth.ts';

const SECRETS: Secret[] = [
  { what: 'the secret', value: '7f3ac05e9d1b4826e0c7a95f13bd684207fe9a3c5d81b6e24f90ca7b38d5e16d' },
  { what: 'the admin key', value: 'Qv8mXz2LrT6yWk4NcHs9PbJd' },
  { what: 'what AWS is called with', value: 'wJalrXUtnFEMIbK7MDENGbPxRfiCY9zQ' },
];

/** As a machine has them from which somebody deploys. */
const VARIABLES = ['ARCHIPEL_SECRET', 'ARCHIPEL_KEY', 'AWS_SECRET_ACCESS_KEY'];

afterEach(() => vi.unstubAllEnvs());

function templates(): Template[] {
  VARIABLES.forEach((name, at) => vi.stubEnv(name, `${name === 'ARCHIPEL_KEY' ? 'ak_admin_' : ''}${String(SECRETS[at]?.value)}`));
  const config = file({ alarmAddress: 'ops@example.com', domain: { name: 'kv.example.com', certificateArn: 'arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0000-4000-8000-0123456789ab' } });
  const { regions, edge } = synthesise('3', { config });
  return [...regions.values(), edge];
}

interface Text {
  readonly at: string;
  readonly text: string;
}

/** Every text of a template, with the names that lead to it. */
const textsOf = (node: unknown, at = ''): Text[] =>
  typeof node === 'string' ? [{ at, text: node }] : typeof node !== 'object' || node === null ? [] : Object.entries(node).flatMap(([name, child]) => textsOf(child, `${at}/${name}`));

it('what lies in the environment of whoever deploys is in no template', () => {
  expect(leaksIn(templates().map((template) => JSON.stringify(template)), SECRETS)).toEqual([]);
});

it('nothing is asked for, or looked up, while a stack is made', () => {
  for (const template of templates()) {
    expect(JSON.stringify(template)).not.toMatch(/\{\{resolve:|NoEcho|SecretsManager|secretsmanager/);
    expect(Object.keys((template as { Parameters?: object }).Parameters ?? {})).toEqual(['BootstrapVersion']);
  }
});

it('the names of the secrets are where a function gets the right to read them, and nowhere else', () => {
  const found = templates().flatMap((template) => textsOf(template.Resources).filter(({ text }) => /parameter\/|secret|admin-?key/i.test(text)));
  expect(found.length).toBeGreaterThan(0);
  expect(found.filter(({ at }) => !/Role[^/]*\/Properties\/Policies\/\d+\/PolicyDocument\/Statement\/\d+\/Resource\//.test(at))).toEqual([]);
});

it('what looks like a key is the hash of a bundle', () => {
  const looks = /[0-9a-f]{32,}|ak_[a-z0-9]+_[A-Za-z0-9_-]{20,}/g;
  for (const template of templates()) {
    const bundles = new Set(ofType(template, 'AWS::Lambda::Function').map(({ Properties }) => (Properties['Code'] as { S3Key: string }).S3Key.replace('.zip', '')));
    const found = textsOf(template).flatMap(({ text }) => text.match(looks) ?? []);
    expect(found.length).toBeGreaterThan(0);
    expect(found.filter((each) => ![...bundles].some((bundle) => each.startsWith(bundle)) && !Object.keys(template.Resources).some((id) => id.endsWith(each)))).toEqual([]);
  }
});

it('a function is told names and numbers', () => {
  for (const template of templates()) {
    for (const { Properties } of ofType(template, 'AWS::Lambda::Function')) {
      const { Variables = {} } = (Properties['Environment'] ?? {}) as { Variables?: Record<string, unknown> };
      for (const [name, value] of Object.entries(Variables)) expect(`${name}=${JSON.stringify(value)}`).toMatch(/^ARCHIPEL_(?:DEPLOYMENT="archipel"|REGIONS="[a-z0-9,-]+"|REPLICAS="\d"|LEDGER_DAYS="\d+"|PARTITION=(?:"aws"|\{"Ref":"AWS::Partition"\})|ACCOUNT=\{"Ref":"AWS::AccountId"\})$/);
    }
  }
});
