// What one request costs in the table's units. An environment answers one request at a time, so what its table consumes
// between two questions is that request's, what was read of policies and keys for it included.

import type { Consumed } from '../../src/adapters/aws/requests.ts';

/** The request's field asks (`?1`), the answer's field says. */
export const COST_FIELD = 'request-cost';

export class Meter {
  #read = 0;
  #write = 0;

  readonly add = ({ readUnits, writeUnits }: Consumed): void => {
    this.#read += readUnits;
    this.#write += writeUnits;
  };

  begin(): void {
    this.#read = 0;
    this.#write = 0;
  }

  get units(): { readonly read: number; readonly write: number } {
    return { read: this.#read, write: this.#write };
  }

  /** An answer of another region says what it cost there. */
  on(response: Response): Response {
    if (response.headers.has(COST_FIELD)) return response;
    const headers = new Headers(response.headers);
    headers.set(COST_FIELD, `read=${this.#read}, write=${this.#write}`);
    return new Response(response.body, { status: response.status, headers });
  }
}
