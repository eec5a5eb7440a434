// `drill run --on URL,URL,…`: against a cluster that runs somewhere.

import { nodeRandom } from '../../adapters/node/crypto.ts';
import { patientClock } from '../../client/node.ts';
import { toHex } from '../../core/bytes.ts';
import { ArchipelError } from '../../core/errors.ts';
import { isInSetting, withControl } from '../../drill/control.ts';
import type { Drill } from '../../drill/drill.ts';
import { GivenPlace, refusalOf, type Given } from '../../drill/given-place.ts';
import type { DrillReport } from '../../drill/report.ts';
import { runDrill, type RunParts } from '../../drill/run.ts';
import { readText } from '../../local/files.ts';
import { EXIT } from '../exit.ts';
import { checkedUrl } from '../session.ts';
import type { Terminal } from '../terminal.ts';

interface GivenFlags {
  readonly on: string;
  readonly do?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly control?: boolean;
}

/** Undefined: no addresses are given. @throws ArchipelError `bad-request` where the drill cannot run there, before anything is done */
export function runAt(terminal: Terminal, drill: Drill, flags: GivenFlags): ((parts: Pick<RunParts, 'control' | 'onEvent'>) => Promise<DrillReport>) | undefined {
  if (!flags.on.includes('://')) {
    if (flags.do !== undefined) throw new ArchipelError('bad-request', '--do is for a drill at given addresses: on local and sim every step can be done.');
    return undefined;
  }
  const [edge = '', ...regions] = flags.on.split(',').map((url) => checkedUrl(url.trim(), 'Each address of --on'));
  const given: Given = { edge, regions, key: flags.key ?? (terminal.env['ARCHIPEL_KEY'] || undefined), ca: flags.ca === undefined ? undefined : readText(flags.ca), command: flags.do };
  const refusal = (flags.control === true ? controlRefusalOf(drill) : undefined) ?? refusalOf(flags.control === true ? withControl(drill, drill.control) : drill, given);
  if (refusal !== undefined) throw new ArchipelError('bad-request', refusal);
  return async (parts) => {
    const place = await GivenPlace.find(given);
    terminal.onInterrupt(() => process.exit(EXIT.failed));
    try {
      // Whoever ran it here before left values: these are told from them.
      return await runDrill(drill, place, { clock: patientClock, random: nodeRandom, name: `${toHex(nodeRandom.bytes(4))}-`, ...parts });
    } finally {
      await place.end();
    }
  };
}

function controlRefusalOf(drill: Drill): string | undefined {
  const { control } = drill;
  if (isInSetting(control)) return `The known bug ${control} is in how regions are started, and those at given addresses run already.`;
  return control === 'never-healed' ? `With the known bug ${control} nothing is brought back: that is not done to a cluster that runs.` : undefined;
}
