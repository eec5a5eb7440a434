// The table of docs/operating/rights.md, held to the roles that are synthesised: who may do what, and nothing else.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { RegionId } from '../../src/core/version/dot.ts';
import { grantsOf, synthesise, type Grant, type Template } from './synth.ts';

const page = readFileSync(new URL('../../docs/operating/rights.md', import.meta.url), 'utf8');

/** One row for all that a role may do with one thing: `| api | the table | GetItem, … |`, the names of regions left open. */
function tableOf(template: Template, region: RegionId | undefined, peers: readonly RegionId[]): string[] {
  const open = (text: string): string => {
    const ofPeers = peers.reduce((rest, peer) => rest.replaceAll(peer, '{peer}'), text);
    return (region === undefined ? ofPeers : ofPeers.replaceAll(region, '{region}')).replace(/^<(.*?)(?:\.Arn)?>$/, '$1').replace('.StreamArn', ', its stream').replace('ACCOUNT', '{account}').replaceAll('archipel-', '{name}-').replace('/archipel/archipel/', '/archipel/{name}/').replace(/^arn:aws:/, '');
  };
  const rows = new Map<string, Set<string>>();
  for (const { role, action, resource } of grantsOf(template) satisfies Grant[]) {
    const row = `| \`${open(role)}\` | \`${open(resource)}\``;
    rows.set(row, (rows.get(row) ?? new Set()).add(action));
  }
  return [...rows].map(([row, actions]) => `${row} | ${[...actions].sort().join(', ')} |`).sort();
}

it('docs/operating/rights.md says what every role may do, the same in each region, and nothing else', () => {
  const { regions, edge, deployment } = synthesise('3');
  // What was used, and why the rest is there, is held to the truth by scripts/aws/rights.ts.
  const written = [...page.matchAll(/^(\| `[^|]*\|[^|]*\|[^|]*\|) [^|]+ \|$/gm)].map(([, row = '']) => row).sort();
  for (const [region, template] of regions) {
    const peers = deployment.regions.filter((id) => id !== region);
    expect(written, region).toEqual([...tableOf(template, region, peers), ...tableOf(edge, undefined, [])].sort());
  }
});
