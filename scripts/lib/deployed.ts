// A deployment that scripts drive from outside, by HTTP only: processes on this machine, or stacks on an emulated AWS.

import { ask, until, type Answer, type Ask } from './http.ts';

export abstract class Deployed {
  abstract get regions(): readonly string[];
  /** The admin key. */
  abstract get key(): string;
  /** Of a region, or of `edge`. */
  abstract url(place: string): string;
  /** No message passes between regions. */
  abstract cut(): Promise<void>;
  abstract heal(): Promise<void>;
  /** What is owed has been sent: resolves when nothing waits any more. */
  abstract quiet(timeoutMs?: number): Promise<number>;

  #key: string | undefined;

  /** A request with the admin key. */
  ask(where: string, target: string, how: Ask = {}): Promise<Answer> {
    this.#key ??= this.key;
    return ask(this.url(where), target, { ...how, headers: { authorization: `Bearer ${this.#key}`, ...how.headers } });
  }

  /** Made, and known to every region: over bad links the answer may be 202 for a while. */
  async collection(name: string, policy: Record<string, unknown>, timeoutMs = 15_000): Promise<void> {
    await until(
      `the collection ${name} is active`,
      async () => {
        const answer = await this.ask(this.regions[0] as string, `/v1/c/${name}`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(policy) });
        if (answer.status >= 300) throw new Error(`collection ${name}: ${answer.status} ${answer.text()}`);
        const states = await Promise.all(this.regions.map(async (id) => (await this.ask(id, `/v1/c/${name}`)).json<{ state?: string }>().state));
        return answer.status !== 202 && states.every((state) => state === 'active');
      },
      timeoutMs,
    );
  }

  put(where: string, collection: string, pk: string, value: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.ask(where, `/v1/c/${collection}/items/${encodeURIComponent(pk)}`, { method: 'PUT', body: value, headers: { 'content-type': 'text/plain', ...headers } });
  }

  get(where: string, collection: string, pk: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.ask(where, `/v1/c/${collection}/items/${encodeURIComponent(pk)}`, { headers });
  }

  async dump(id: string, collection: string): Promise<string[]> {
    const lines: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const answer = await this.ask(id, `/v1/c/${collection}/dump${cursor === undefined ? '' : `?cursor=${cursor}`}`, { timeoutMs: 60_000 });
      if (answer.status !== 200) throw new Error(`dump of ${collection} at ${id}: ${answer.status} ${answer.text()}`);
      lines.push(...answer.text().split('\n').filter((line) => line !== ''));
      cursor = answer.headers['next-cursor'];
      if (cursor === undefined) return lines;
    }
  }
}
