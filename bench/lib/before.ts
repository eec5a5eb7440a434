// The code of the baseline, unpacked beside this one and measured by the same bench, in turns. Some ratios swing by a fifth
// between two quiet hours of one machine; that of two builds within the same minutes tells of the code alone.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodePath, PROGRAM_VARIABLE, root } from '../../scripts/lib/cluster.ts';

const LOCK = 'package-lock.json';

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string }>>;
}

/** The first package of a build that is not installed in its version. */
export function missingPackage(needed: Lock, installed: Lock): string | undefined {
  return Object.keys(needed.packages).find((path) => path !== '' && needed.packages[path]?.version !== installed.packages[path]?.version);
}

export class Before {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** A text says why there is none: a clone without its history, or other packages than are installed. */
  static unpack(commit: string): Before | string {
    const git = (...args: readonly string[]): Buffer => execFileSync('git', args, { cwd: root, stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 2 ** 28 });
    const folder = mkdtempSync(join(tmpdir(), 'archipel-before-'));
    try {
      const missing = missingPackage(JSON.parse(git('show', `${commit}:${LOCK}`).toString()) as Lock, JSON.parse(readFileSync(join(root, LOCK), 'utf8')) as Lock);
      if (missing !== undefined) throw new Error(`it needs another version of ${missing}`);
      execFileSync('tar', ['-x', '-C', folder], { input: git('archive', commit) });
      symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
      execFileSync(nodePath, [join(folder, 'scripts/prepare.js')], { stdio: 'ignore' });
      return new Before(folder);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      return (error as Error).message.split('\n')[0] as string;
    }
  }

  /** Whatever is started meanwhile is of this build. */
  async during<T>(measure: () => Promise<T>): Promise<T> {
    const now = process.env[PROGRAM_VARIABLE];
    process.env[PROGRAM_VARIABLE] = join(this.#folder, 'bin/archipel.js');
    try {
      return await measure();
    } finally {
      if (now === undefined) delete process.env[PROGRAM_VARIABLE];
      else process.env[PROGRAM_VARIABLE] = now;
    }
  }

  end(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
