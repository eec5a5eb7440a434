// Commands run in this process, on a terminal that remembers.

import { run } from '../../src/cli/program.ts';
import type { Channel, Terminal } from '../../src/cli/terminal.ts';

export class FakeChannel implements Channel {
  readonly isTty: boolean;
  readonly columns = 100;
  readonly colours = false;
  readonly #chunks: Uint8Array[] = [];
  onWrite: (text: string) => void = () => undefined;

  constructor(isTty = false) {
    this.isTty = isTty;
  }

  write(data: string | Uint8Array): Promise<void> {
    this.#chunks.push(Buffer.from(data));
    this.onWrite(this.text);
    return Promise.resolve();
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('utf8');
  }
}

export class FakeTerminal implements Terminal {
  readonly out: FakeChannel;
  readonly err: FakeChannel;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly #input: string | undefined;
  readonly #listeners = new Set<() => void>();
  exitCode = 0;

  constructor(options: { readonly env?: Readonly<Record<string, string>>; readonly input?: string; readonly isTty?: boolean; readonly isErrTty?: boolean } = {}) {
    this.env = options.env ?? {};
    this.#input = options.input;
    this.out = new FakeChannel(options.isTty);
    this.err = new FakeChannel(options.isErrTty);
  }

  input(): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#input === undefined ? undefined : Buffer.from(this.#input));
  }

  onInterrupt(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  interrupt(): void {
    for (const listener of this.#listeners) listener();
  }
}

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** `archipel <args>`, without a process. */
export async function archipel(args: readonly string[], terminal = new FakeTerminal()): Promise<Outcome> {
  await run(['node', 'archipel', ...args], terminal);
  return { code: terminal.exitCode, out: terminal.out.text, err: terminal.err.text };
}

/** Asks until the answer is as expected. */
export async function until<T>(ask: () => Promise<T> | T, isExpected: (answer: T) => boolean, timeoutMs = 10_000): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (isExpected(answer)) return answer;
    if (performance.now() > deadlineMs) throw new Error(`Not as expected in ${timeoutMs} ms: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
