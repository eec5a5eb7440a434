// Stacks as tests see them: synthesised in this process, with a stub in the place of each bundle.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { vi } from 'vitest';
import { BUNDLES } from '../../cdk/bundle.ts';
import type { Deployment } from '../../cdk/deployment.ts';
import { addStacks } from '../../cdk/stacks.ts';
import { contextOf } from '../../scripts/lib/synth.ts';
import type { RegionId } from '../../src/core/version/dot.ts';

export interface Resource {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
  readonly DeletionPolicy?: string;
}

export interface Template {
  readonly Resources: Readonly<Record<string, Resource>>;
  readonly Outputs?: Readonly<Record<string, { readonly Value: unknown }>>;
}

export interface Synthesised {
  readonly deployment: Deployment;
  readonly regions: ReadonlyMap<RegionId, Template>;
  readonly edge: Template;
}

const context = contextOf();

/** Stubs and assemblies of all test files that this process runs. */
const folder = mkdtempSync(join(tmpdir(), 'archipel-cdk-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const code = join(folder, 'code');
for (const name of BUNDLES) {
  mkdirSync(join(code, name), { recursive: true });
  writeFileSync(join(code, name, 'index.mjs'), `// ${name}\n`);
}

/** A configuration file. */
export function file(content: object): string {
  const path = join(mkdtempSync(join(folder, 'config-')), 'deployment.json');
  writeFileSync(path, JSON.stringify(content));
  return path;
}

const appWith = (outdir: string, regions: string, more: Readonly<Record<string, unknown>>): App => new App({ analyticsReporting: false, treeMetadata: false, outdir, context: { ...context, regions, ...more } });

export function synthesise(regionsWanted: string, more: Readonly<Record<string, unknown>> = {}): Synthesised {
  const outdir = mkdtempSync(join(folder, 'out-'));
  const app = appWith(outdir, regionsWanted, more);
  const { deployment, regions, edge } = addStacks(app, code);
  const assembly = app.synth();
  const template = (name: string): Template => assembly.getStackByName(name).template as Template;
  return { deployment, regions: new Map(regions.map(({ regionId, stackName }) => [regionId, template(stackName)])), edge: template(edge.stackName) };
}

export interface Finding {
  readonly finding: string;
  readonly where: string;
}

/** What cdk-nag says of the stacks. */
export function findings(regionsWanted: string, more: Readonly<Record<string, unknown>> = {}): Finding[] {
  const outdir = mkdtempSync(join(folder, 'nag-'));
  const app = appWith(outdir, regionsWanted, more);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  addStacks(app, code);
  const mute = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  try {
    app.synth();
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ValidationFailed') throw error;
  } finally {
    mute.mockRestore();
  }
  const { pluginReports } = JSON.parse(readFileSync(join(outdir, 'validation-report.json'), 'utf8')) as { pluginReports: { violations: { ruleName: string; violatingConstructs: { constructPath: string }[] }[] }[] };
  return pluginReports.flatMap(({ violations }) => violations.flatMap(({ ruleName, violatingConstructs }) => violatingConstructs.map(({ constructPath }) => ({ finding: ruleName, where: constructPath.replace(/\/Resource$/, '') }))));
}

export const ofType = ({ Resources }: Template, type: string): Resource[] => Object.values(Resources).filter(({ Type }) => Type === type);

/** An ARN or URL as text: pseudo parameters by name, references to the template's own resources by their physical name. */
export function textOf(value: unknown, template: Template): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const [[name, argument] = []] = Object.entries(value);
  if (name === 'Ref') return argument === 'AWS::AccountId' ? 'ACCOUNT' : `<${physicalName(String(argument), template)}>`;
  if (name === 'Fn::GetAtt') return `<${(argument as string[]).map((part, at) => (at === 0 ? physicalName(part, template) : part)).join('.')}>`;
  if (name === 'Fn::Join') return (argument as [string, unknown[]])[1].map((part) => textOf(part, template)).join('');
  return JSON.stringify(value);
}

function physicalName(id: string, template: Template): string {
  const { Properties = {} } = template.Resources[id] ?? {};
  const named = Object.entries(Properties).find(([name]) => /^(?:Table|Queue|Function|Role|LogGroup|Alarm)?Name$/.test(name))?.[1];
  return typeof named === 'string' ? named : id;
}

export interface Grant {
  readonly role: string;
  readonly action: string;
  readonly resource: string;
}

/** Every right of every role of a template, one by one. */
export function grantsOf(template: Template): Grant[] {
  return ofType(template, 'AWS::IAM::Role').flatMap(({ Properties }) => {
    const policies = (Properties['Policies'] ?? []) as { PolicyDocument: { Statement: { Effect: string; Action: string | string[]; Resource: unknown }[] } }[];
    return policies.flatMap(({ PolicyDocument }) =>
      PolicyDocument.Statement.flatMap(({ Action, Resource }) =>
        [Action].flat().flatMap((action) => (Array.isArray(Resource) ? Resource : [Resource]).map((resource) => ({ role: String(Properties['RoleName']), action, resource: textOf(resource, template) }))),
      ),
    );
  });
}

export interface Statement {
  readonly effect: 'Allow' | 'Deny';
  readonly actions: readonly string[];
  readonly resources: readonly string[];
}

/** Every statement of every policy of a template: of roles, of queues, of topics. Those about who may assume a role name no resource. */
export function statementsOf(template: Template): Statement[] {
  const documents = (value: unknown): { Statement: { Effect: 'Allow' | 'Deny'; Action: string | string[]; Resource?: unknown }[] }[] =>
    typeof value !== 'object' || value === null ? [] : [...('Statement' in value ? [value as never] : []), ...Object.values(value).flatMap(documents)];
  return documents(template.Resources).flatMap(({ Statement }) =>
    Statement.map(({ Effect, Action, Resource = [] }) => ({ effect: Effect, actions: [Action].flat(), resources: [Resource].flat().map((resource) => textOf(resource, template)) })),
  );
}
