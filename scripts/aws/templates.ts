// Changes to a template between its making and its deployment. The name of a template where assets are uploaded is the hash of
// what it says, in three places.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Template {
  readonly Resources: Record<string, { readonly Type: string; readonly Properties: Record<string, unknown> }>;
}

interface Assets {
  readonly files: Readonly<Record<string, { readonly source: { readonly path: string } }>>;
}

export const readTemplate = (out: string, stack: string): Template => JSON.parse(readFileSync(join(out, `${stack}.template.json`), 'utf8')) as Template;

export function changeTemplate(out: string, stack: string, change: (template: Template) => void): void {
  const template = readTemplate(out, stack);
  change(template);
  writeTemplate(out, stack, template);
}

export function writeTemplate(out: string, stack: string, template: unknown): void {
  const path = `${stack}.template.json`;
  const text = JSON.stringify(template, undefined, 1);
  writeFileSync(join(out, path), text);
  const assets = join(out, `${stack}.assets.json`);
  const [old] = Object.entries((JSON.parse(readFileSync(assets, 'utf8')) as Assets).files).find(([, { source }]) => source.path === path) ?? [];
  if (old === undefined) throw new Error(`The assembly has no ${path}.`);
  const now = createHash('sha256').update(text).digest('hex');
  for (const file of [assets, join(out, 'manifest.json')]) writeFileSync(file, readFileSync(file, 'utf8').replaceAll(old, now));
}

/**
 * The emulator refuses an alarm of several metrics (the live RPO is the larger of two ages): it gets one of the first of them
 * under the same name, so that whatever refers to the alarm finds it. What it really watches, the tests of the templates say.
 */
export function withPlainAlarms({ Resources }: Template): void {
  for (const { Type, Properties } of Object.values(Resources)) {
    const { Metrics, ...rest } = Properties as { readonly Metrics?: readonly MetricQuery[] };
    if (Type !== 'AWS::CloudWatch::Alarm' || Metrics === undefined) continue;
    const stat = Metrics.find(({ MetricStat }) => MetricStat !== undefined)?.MetricStat;
    if (stat === undefined) throw new Error('An alarm of no metric.');
    for (const name of Object.keys(Properties)) delete Properties[name];
    Object.assign(Properties, rest, stat.Metric, { Statistic: stat.Stat, Period: stat.Period });
  }
}

/** Actions that exist nowhere but in the emulator: AWS checks a call for a batch as the call for one. */
const BATCHES: Readonly<Record<string, string>> = { 'sqs:SendMessage': 'sqs:SendMessageBatch', 'sqs:DeleteMessage': 'sqs:DeleteMessageBatch', 'sqs:ChangeMessageVisibility': 'sqs:ChangeMessageVisibilityBatch' };

interface Statement {
  Action: string | string[];
  Resource: unknown;
}

/** Of every role, by its name. */
function statementsOf({ Resources }: Template): (readonly [role: string, statement: Statement])[] {
  return Object.values(Resources).flatMap(({ Type, Properties }) => {
    if (Type !== 'AWS::IAM::Role') return [];
    const policies = (Properties['Policies'] ?? []) as { readonly PolicyDocument: { readonly Statement: readonly Statement[] } }[];
    return policies.flatMap(({ PolicyDocument }) => PolicyDocument.Statement.map((statement) => [String(Properties['RoleName']), statement] as const));
  });
}

/**
 * What the emulator's check of rights needs besides: it judges reading parameters by no name at all; and here is no TLS, which
 * the policies of the queues ask for.
 */
export function withEmulatorsRights(template: Template): void {
  for (const [id, { Type }] of Object.entries(template.Resources)) if (Type === 'AWS::SQS::QueuePolicy') delete template.Resources[id];
  for (const [, statement] of statementsOf(template)) {
    statement.Action = [statement.Action].flat().flatMap((action) => [action, BATCHES[action] ?? []].flat());
    if (statement.Action.includes('ssm:GetParameters')) statement.Resource = [statement.Resource, '*'].flat();
  }
}

/** Takes a right away. */
export function without(template: Template, role: string, action: string): void {
  for (const [name, statement] of statementsOf(template)) if (name === role) statement.Action = [statement.Action].flat().filter((each) => each !== action);
}

interface MetricQuery {
  readonly MetricStat?: { readonly Metric: Record<string, unknown>; readonly Stat: string; readonly Period: number };
}

// The emulator knows `Fn::GetStackOutput` but looks for the stack in the asking stack's own region. So what the edge stack
// asks of the region stacks is written into its template.

export interface Reference {
  readonly StackName: string;
  readonly OutputName: string;
  readonly Region: string;
}

export function resolveWeakReferences(node: unknown, outputOf: (reference: Reference) => string): unknown {
  if (Array.isArray(node)) return node.map((each) => resolveWeakReferences(each, outputOf));
  if (typeof node !== 'object' || node === null) return node;
  if ('Fn::GetStackOutput' in node) return outputOf(node['Fn::GetStackOutput'] as Reference);
  return Object.fromEntries(Object.entries(node).map(([name, value]) => [name, resolveWeakReferences(value, outputOf)]));
}
