// How a request comes into an app in a simulation: by the door beside hono what that takes, as in a process, everything else
// by hono.

import { utf8 } from '../core/bytes.ts';
import type { Asked } from '../http/call.ts';
import type { DirectDoor } from '../http/direct.ts';
import type { RegionAnswer } from '../http/edge-app.ts';
import { isToldEmpty, type Reply } from '../http/reply.ts';

export interface HttpQuestion {
  readonly method: string;
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export interface Exchange extends RegionAnswer {
  /** Names in lower case. */
  readonly fields: ReadonlyMap<string, string>;
}

export interface Doors {
  readonly main: (request: Request, environment: { rawTarget: string }) => Response | Promise<Response>;
  readonly direct?: DirectDoor;
}

export async function throughDoors({ main, direct }: Doors, question: HttpQuestion): Promise<Exchange> {
  const answer = direct === undefined ? undefined : direct(new DirectQuestion(question));
  return answer === undefined ? throughMain(main, question) : exchangeOf(await answer);
}

async function throughMain(main: Doors['main'], question: HttpQuestion): Promise<Exchange> {
  const response = await main(new MainQuestion(question) as unknown as Request, { rawTarget: question.target });
  const pairs = [...response.headers];
  return { status: response.status, headers: pairs, fields: new Map(pairs), body: new Uint8Array(await response.arrayBuffer()) };
}

const NOTHING = new Uint8Array(0);

function exchangeOf(reply: Reply): Exchange {
  const { status, headers, body } = reply;
  const fields = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  if (isToldEmpty(reply)) fields.set('content-length', '0');
  return { status, headers: [...fields], fields, body: body === null ? NOTHING : typeof body === 'string' ? utf8(body) : body };
}

/** As Headers: asked for by name in any case, gone through in the order of names. */
class Fields implements Iterable<[string, string]> {
  readonly #fields: Map<string, string>;

  constructor(fields: Iterable<readonly [string, string]>) {
    this.#fields = new Map([...fields].map(([name, value]): [string, string] => [name.toLowerCase(), value]).sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  get(name: string): string | null {
    return this.#fields.get(name.toLowerCase()) ?? null;
  }

  has(name: string): boolean {
    return this.#fields.has(name.toLowerCase());
  }

  [Symbol.iterator](): Iterator<[string, string]> {
    return this.#fields[Symbol.iterator]();
  }
}

/** A Request, as far as an app reads it: one of the platform costs as much as what the app does with it. */
class MainQuestion {
  readonly method: string;
  readonly url: string;
  readonly headers: Fields;
  /** A body has a length here. */
  readonly body = null;
  readonly #bytes: Uint8Array;

  constructor({ method, target, headers = {}, body }: HttpQuestion) {
    this.method = method;
    this.url = `http://sim${target}`;
    this.headers = new Fields([...Object.entries(headers), ...(body === undefined ? [] : [['content-length', String(body.length)] as const])]);
    this.#bytes = body?.slice() ?? NOTHING;
  }

  async arrayBuffer(): Promise<ArrayBufferLike> {
    return this.#bytes.buffer;
  }
}

class DirectQuestion implements Asked {
  readonly method: string;
  readonly rawTarget: string;
  readonly forwarded = false;
  readonly #fields: Map<string, string>;
  readonly #body: Uint8Array;

  constructor({ method, target, headers = {}, body = NOTHING }: HttpQuestion) {
    this.method = method;
    this.rawTarget = target;
    this.#fields = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    if (method === 'PUT') this.#fields.set('content-length', String(body.length));
    this.#body = body.slice();
  }

  field(name: string): string | undefined {
    return this.#fields.get(name);
  }

  headers(): Headers {
    return new Headers([...this.#fields]);
  }

  bytes(): Uint8Array {
    return this.#body;
  }

  stream(): null {
    return null; // a body has a length here
  }
}
