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

async function throughMain(main: Doors['main'], { method, target, headers = {}, body }: HttpQuestion): Promise<Exchange> {
  const fields = new Headers(headers);
  if (body !== undefined) fields.set('content-length', String(body.length));
  const request = new Request(`http://sim${target}`, { method, headers: fields, ...(body === undefined ? {} : { body: body.slice() }) });
  const response = await main(request, { rawTarget: target });
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
