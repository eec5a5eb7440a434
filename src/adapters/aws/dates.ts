// The time of AWS, from the field Date of its answers, to the second. It is told with the two readings of this machine's wall
// between which the answer was made.

/** The parts of the SDK's clients that are used. */
interface Client {
  readonly middlewareStack: { add(middleware: never, options: { readonly step: 'deserialize'; readonly name: string; readonly priority: 'low' }): void };
}

export interface Dated {
  /** The beginning of the second that the answer names. */
  readonly dateMs: number;
  readonly sentMs: number;
  readonly receivedMs: number;
}

export function readDates(client: Client, wallMs: () => number, told: (dated: Dated) => void): void {
  type Next = (args: unknown) => Promise<{ readonly response?: unknown }>;
  const middleware = (next: Next) => async (args: unknown): Promise<unknown> => {
    const sentMs = wallMs();
    const result = await next(args);
    const { headers } = (result.response ?? {}) as { readonly headers?: Readonly<Record<string, string>> };
    const dateMs = Date.parse(headers?.['date'] ?? '');
    if (!Number.isNaN(dateMs)) told({ dateMs, sentMs, receivedMs: wallMs() });
    return result;
  };
  client.middlewareStack.add(middleware as never, { step: 'deserialize', name: 'dates', priority: 'low' });
}
