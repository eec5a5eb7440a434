// `drill run --on aws-local`: on an emulated AWS of this machine.

import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { nodeRandom } from '../../adapters/node/crypto.ts';
import { patientClock } from '../../client/node.ts';
import { ArchipelError } from '../../core/errors.ts';
import type { Drill } from '../../drill/drill.ts';
import type { AwsPlaces } from '../../drill/place.ts';
import type { DrillReport } from '../../drill/report.ts';
import type { RunParts } from '../../drill/run.ts';
import { installedPath } from '../../local/files.ts';
import { EXIT } from '../exit.ts';
import { styleFor } from '../output.ts';
import type { Terminal } from '../terminal.ts';

/** With the CDK, the templates and the emulator: not part of the program, but of a checkout. */
const TOOLS = 'scripts/aws/drill-place.ts';

/** @throws ArchipelError `bad-request` where the drill cannot run there, before anything is done */
export async function refuseOnAws(drill: Drill, control: RunParts['control']): Promise<void> {
  const { awsRefusalOf } = await import('../../drill/on-aws.ts');
  const refusal = awsRefusalOf(drill, control) ?? (existsSync(installedPath(TOOLS)) ? undefined : 'aws-local needs what makes stacks from templates: run it in a checkout of Archipel.');
  if (refusal !== undefined) throw new ArchipelError('bad-request', refusal);
}

export async function onAws(terminal: Terminal, drill: Drill, parts: Pick<RunParts, 'control' | 'onEvent'>): Promise<DrillReport> {
  const { runDrill } = await import('../../drill/run.ts');
  const { scaledForAws } = await import('../../drill/on-aws.ts');
  const { startAwsPlace } = (await import(pathToFileURL(installedPath(TOOLS)).href)) as AwsPlaces;
  const style = styleFor(terminal.err);
  terminal.onInterrupt(() => process.exit(EXIT.failed)); // the emulator ends at the end of its pipe
  const place = await startAwsPlace({ regions: drill.regions, control: parts.control }, (step, seconds) => void terminal.err.write(`${style.dim(`${seconds.toFixed(1).padStart(6)} s  ${step}`)}\n`));
  try {
    const scaled = scaledForAws(drill);
    return await runDrill(scaled.drill, place, { clock: patientClock, random: nodeRandom, remarks: scaled.remarks, ...parts });
  } finally {
    await place.end();
  }
}
