// One request on its way to one address.

/** How requests travel: node:http in the command line, fetch in a browser, a simulated network in a test. */
export interface Transport {
  /** Rejects with NoAnswer. */
  send(request: TransportRequest): Promise<TransportAnswer>;
  close(): void;
}

export interface TransportRequest {
  readonly method: string;
  /** Path and query, as they go on the wire. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly timeoutMs: number;
}

export interface TransportAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
}

export class NoAnswer extends Error {
  /** The request certainly did not arrive. */
  readonly unsent: boolean;
  /** The next attempt would fail in the same way. */
  readonly isFinal: boolean;

  constructor(message: string, unsent: boolean, cause?: unknown, isFinal = false) {
    super(message, { cause });
    this.unsent = unsent;
    this.isFinal = isFinal;
  }
}
