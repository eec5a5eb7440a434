// All that the functions say meanwhile: to standard output and error, to the console, and, as Lambda logs them, errors that
// a handler ends with; and whether a secret is in it, whole or in part, as it is or encoded.

import { inspect } from 'node:util';

export interface Secret {
  readonly what: string;
  readonly value: string | Uint8Array;
}

/** As many characters as would help somebody who guesses; and fewer than a parser's error shows of what it could not read. */
const PART = 8;

export class Said {
  readonly lines: string[] = [];
  readonly #restore: (() => void)[] = [];

  start(): void {
    for (const stream of [process.stdout, process.stderr]) {
      this.#replace(stream, 'write', (write) => (chunk: string | Uint8Array, ...rest: unknown[]) => {
        this.lines.push(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
        return this.#isOurs(chunk) || (write.call(stream, chunk, ...(rest as [])));
      });
    }
    for (const level of ['debug', 'log', 'info', 'warn', 'error', 'trace'] as const) this.#replace(console, level, () => (...args: unknown[]): void => void this.lines.push(inspect(args, DEEP)));
  }

  /** A method, until all is put back. */
  #replace<Of extends object, Name extends keyof Of>(of: Of, name: Name, instead: (before: Of[Name]) => Of[Name]): void {
    const before = of[name];
    of[name] = instead(before);
    this.#restore.push(() => (of[name] = before));
  }

  stop(): void {
    for (const restore of this.#restore.splice(0)) restore();
  }

  /** What a handler answers, or ends with. */
  async of(work: Promise<unknown>): Promise<void> {
    const ended = await work.catch((error: unknown) => error);
    this.lines.push(inspect(ended, DEEP));
    const { body } = (ended ?? {}) as { readonly body?: unknown };
    if (typeof body === 'string') this.lines.push(Buffer.from(body, 'base64').toString());
  }

  /** Lines of logs and metrics are for this, and for nobody to read. */
  #isOurs(chunk: string | Uint8Array): boolean {
    return typeof chunk === 'string' && /^\{"(?:time|_aws)"/.test(chunk);
  }
}

const DEEP = { depth: 10, compact: true, breakLength: Number.POSITIVE_INFINITY, maxStringLength: null, maxArrayLength: null } as const;

/** `the secret, hex: 0f1e2d3c in {"time"…`, one of each kind. */
export function leaksIn(lines: readonly string[], secrets: readonly Secret[]): string[] {
  const text = lines.join('\n');
  return secrets.flatMap(({ what, value }) =>
    Object.entries(formsOf(value)).flatMap(([how, parts]) => {
      const part = parts.find((each) => text.includes(each));
      return part === undefined ? [] : [`${what}, ${how}: ${part} in ${lines.find((line) => line.includes(part))?.slice(0, 300)}`];
    }),
  );
}

function formsOf(value: string | Uint8Array): Readonly<Record<string, readonly string[]>> {
  const bytes = Buffer.from(value);
  const first = [...bytes.subarray(0, PART)];
  const shown = [first.join(', '), first.join(','), first.map((byte, at) => `"${at}":${byte}`).join(','), inspect(bytes.subarray(0, PART)).slice('<Buffer '.length, -1)];
  const encoded = { hex: partsOf(bytes.toString('hex')), base64: partsOf(bytes.toString('base64')), base64url: partsOf(bytes.toString('base64url')), bytes: shown };
  return typeof value === 'string' ? { 'as it is': partsOf(value), ...encoded } : encoded;
}

const partsOf = (form: string): string[] => Array.from({ length: Math.max(0, form.length - PART + 1) }, (_, at) => form.slice(at, at + PART));
