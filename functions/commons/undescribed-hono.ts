// In the place of @hono/zod-openapi in `api` and `peer`: routes are run here, and described where functions are bundled
// (cdk/openapi.ts). Whoever asks for the description gets the file beside the bundle.
//
// Of hono's routers this has the one that the others fall back on: it compiles nothing, which a cold start would wait for.

import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import type { Env } from 'hono';
import { HonoBase } from 'hono/hono-base';
import { TrieRouter } from 'hono/router/trie-router';
import { OPENAPI_FILE } from '../../src/adapters/aws/names.ts';

export { z } from './lazy-zod.ts';

/** What begins with no slash is no path to the others, and this one reads it as if it did. */
class Routes<T> extends TrieRouter<T> {
  override match(method: string, path: string): ReturnType<TrieRouter<T>['match']> {
    return path.startsWith('/') ? super.match(method, path) : [[]];
  }
}

/** Nobody reads it. */
const REGISTRY = { registerComponent: (): void => undefined, registerPath: (): void => undefined };

export class OpenAPIHono<E extends Env> extends HonoBase<E> {
  readonly openAPIRegistry = REGISTRY;

  constructor({ getPath }: { readonly getPath: (request: Request, options?: { readonly env?: E['Bindings'] }) => string }) {
    super({ getPath, router: new Routes() });
  }

  /** Whatever it is told to put in: it was made of the same routes. */
  getOpenAPI31Document(): unknown {
    return JSON.parse(inflateRawSync(readFileSync(new URL(OPENAPI_FILE, import.meta.url))).toString()) as unknown;
  }
}
