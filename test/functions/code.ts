// The functions of a region, in environments of their own: as they are written, or as they are deployed.

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle, type BundleName } from '../../cdk/bundle.ts';
import type { handler as edge } from '../../functions/edge.ts';
import type { handler as api } from '../../functions/api.ts';
import type { handler as peer } from '../../functions/peer.ts';
import type { handler as fanOut } from '../../functions/fan-out.ts';
import type { handler as apply } from '../../functions/apply.ts';
import type { handler as forward } from '../../functions/forward.ts';
import type { handler as reconcile } from '../../functions/reconcile.ts';
import type { handler as heartbeat } from '../../functions/heartbeat.ts';

export type Code = 'sources' | 'bundles';

export interface Handlers {
  readonly api: typeof api;
  readonly peer: typeof peer;
  readonly fanOut: typeof fanOut;
  readonly apply: typeof apply;
  readonly forward: typeof forward;
  readonly reconcile: typeof reconcile;
  readonly heartbeat: typeof heartbeat;
}

type Module<H> = { readonly handler: H };

/** Loaded anew after `vi.resetModules`. */
export async function sources(): Promise<Handlers> {
  const load = async <H>(module: Promise<Module<H>>): Promise<H> => (await module).handler;
  return {
    api: await load(import('../../functions/api.ts')),
    peer: await load(import('../../functions/peer.ts')),
    fanOut: await load(import('../../functions/fan-out.ts')),
    apply: await load(import('../../functions/apply.ts')),
    forward: await load(import('../../functions/forward.ts')),
    reconcile: await load(import('../../functions/reconcile.ts')),
    heartbeat: await load(import('../../functions/heartbeat.ts')),
  };
}

/** A file is loaded once, so each environment has a copy. Vitest is passed by: it would take the bundles apart. */
export class Bundles {
  readonly #folder: string;
  readonly #require = createRequire(import.meta.url);
  #copies = 0;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async make(functions?: readonly BundleName[]): Promise<Bundles> {
    const folder = mkdtempSync(join(tmpdir(), 'archipel-code-'));
    await bundle(join(folder, 'made'), functions);
    return new Bundles(folder);
  }

  #copy(): <H>(name: BundleName) => H {
    const copy = join(this.#folder, `copy-${++this.#copies}`);
    cpSync(join(this.#folder, 'made'), copy, { recursive: true });
    return <H>(name: BundleName): H => (this.#require(join(copy, name, 'index.mjs')) as Module<H>).handler;
  }

  edge(): typeof edge {
    return this.#copy()('edge');
  }

  load(): Handlers {
    const load = this.#copy();
    return { api: load('api'), peer: load('peer'), fanOut: load('fan-out'), apply: load('apply'), forward: load('forward'), reconcile: load('reconcile'), heartbeat: load('heartbeat') };
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
