// npm run lint:aws -- [--regions N]: cfn-lint over the templates of 1, 2, 3 and 5 regions, or of N. The emulator takes a runtime that does not exist, a
// property that is misspelt, a capability that was not given; this does not.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { Command } from 'commander';
import { bundle } from '../../cdk/bundle.ts';
import { contextOf } from '../lib/synth.ts';
import { addStacks } from '../../cdk/stacks.ts';
import { parseRegions } from '../../src/config/options.ts';
import { run } from '../lib/run.ts';
import { install, programOf, skipIfUnavailable, Unavailable, type Venv } from './venv.ts';

const CFN_LINT: Venv = { folder: '.venv-lint', requirements: 'requirements-lint.txt', what: 'Checking the templates with cfn-lint' };
const COUNTS = ['1', '2', '3', '5'];
/** A DependsOn that a reference implies too: the CDK writes them. */
const IGNORED = ['W3005'];

/** Answers how many templates were read. @throws Error with what cfn-lint said */
export async function lintTemplates(counts: readonly string[] = COUNTS): Promise<number> {
  await install(CFN_LINT);
  const folder = mkdtempSync(join(tmpdir(), 'archipel-lint-'));
  try {
    const code = await bundle(join(folder, 'functions'));
    // Each template for the region that it goes to, and all of one region in one run: starting takes longest.
    const byRegion = new Map<string, string[]>();
    for (const count of counts) {
      const app = new App({ analyticsReporting: false, treeMetadata: false, outdir: join(folder, count), context: { ...contextOf(), regions: count, alarmAddress: 'ops@example.com' } });
      const { regions, edge } = addStacks(app, code);
      const assembly = app.synth();
      for (const { stackName, region } of [...regions, edge]) byRegion.set(region, [...(byRegion.get(region) ?? []), assembly.getStackByName(stackName).templateFullPath]);
    }
    for (const [region, templates] of byRegion) await run(programOf(CFN_LINT, 'cfn-lint'), ['--ignore-checks', ...IGNORED, '--regions', region, '--template', ...templates]);
    return [...byRegion.values()].flat().length;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    const startedMs = performance.now();
    const { regions } = new Command('lint:aws').option('--regions <list>', 'how many regions, or which').parse().opts<{ readonly regions?: string }>();
    if (regions !== undefined) parseRegions(regions);
    const counts = regions === undefined ? COUNTS : [regions];
    const templates = await lintTemplates(counts);
    console.log(`cfn-lint: ${templates} templates, of ${counts.join(', ')} regions, nothing found, ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
  } catch (error) {
    if (error instanceof Unavailable) skipIfUnavailable(error);
    else fail(error);
  }
}

function fail(error: unknown): void {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
