// Drill files and their reports, as the commands find them.

import { readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { ArchipelError } from '../../core/errors.ts';
import { parseDrill, type Drill } from '../../drill/drill.ts';
import { installedPath } from '../../local/files.ts';
import { EXIT, tell } from '../exit.ts';
import type { Terminal } from '../terminal.ts';

/** Those that come with Archipel. */
export const SHIPPED = installedPath('drills');

/** Ends with 1 for what could not be done, whatever it was. */
export async function attempt(terminal: Terminal, json: boolean | undefined, work: () => Promise<number>): Promise<void> {
  try {
    terminal.exitCode = await work();
  } catch (error) {
    tell(terminal, error, json === true);
    terminal.exitCode = EXIT.failed;
  }
}

export function readDrill(path: string): Drill {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ArchipelError('bad-request', `There is no drill ${path} (${(error as NodeJS.ErrnoException).code ?? String(error)}). archipel drill list shows those that come with Archipel.`, {}, error);
  }
  return parseDrill(text, basename(path));
}

/** A name without a dot or slash is one of ours. */
export const pathOf = (file: string): string => (/^[a-z0-9-]+$/.test(file) ? join(SHIPPED, `${file}.yaml`) : resolve(file));
