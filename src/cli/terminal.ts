// What a command sees of the world: where it writes, what it reads, its environment. Tests give it another one.

import { ArchipelError } from '../core/errors.ts';
import { concatBytes } from '../core/bytes.ts';

export interface Channel {
  readonly isTty: boolean;
  readonly columns: number;
  readonly colours: boolean;
  /** Resolves when more may be written. */
  write(data: string | Uint8Array): Promise<void>;
}

export interface Terminal {
  readonly out: Channel;
  readonly err: Channel;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard input; `undefined` when a person sits there. @throws ArchipelError `too-large` */
  input(bytesMax: number): Promise<Uint8Array | undefined>;
  /** Calls back at Ctrl-C, instead of ending, until taken back. */
  onInterrupt(listener: () => void): () => void;
  /** Who started this process with a channel: the parent of a cluster. */
  readonly parent?: Parent | undefined;
  exitCode: number;
}

export interface Parent {
  /** Resolves when the message is on its way; at once when the parent is gone. */
  send(message: object): Promise<void>;
  /** The channel keeps a process alive. */
  leave(): void;
}

const COLUMNS = 100;

class ProcessChannel implements Channel {
  readonly #stream: NodeJS.WriteStream;

  /** @param onGone nobody reads any more */
  constructor(stream: NodeJS.WriteStream, onGone: () => void) {
    this.#stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      onGone();
    });
  }

  get isTty(): boolean {
    return this.#stream.isTTY === true;
  }

  get columns(): number {
    return this.#stream.columns || COLUMNS; // some pretend to have none
  }

  get colours(): boolean {
    const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
    if (NO_COLOR !== undefined && NO_COLOR !== '') return false;
    return (FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0') || (this.isTty && TERM !== 'dumb');
  }

  write(data: string | Uint8Array): Promise<void> {
    if (this.#stream.write(data)) return Promise.resolve();
    return new Promise((resolve) => this.#stream.once('drain', () => resolve()));
  }
}

function processParent(): Parent | undefined {
  if (process.send === undefined) return undefined;
  return {
    send: (message) => new Promise((resolve) => (process.connected ? process.send?.(message, () => resolve()) : resolve())),
    leave: () => {
      if (process.connected) process.disconnect();
    },
  };
}

export function processTerminal(): Terminal {
  return {
    parent: processParent(),
    out: new ProcessChannel(process.stdout, () => process.exit(0)), // `archipel scan … | head`: it has what it wanted
    err: new ProcessChannel(process.stderr, () => undefined), // a server does not end because nobody reads its log
    env: process.env,
    input: (bytesMax) => (process.stdin.isTTY ? Promise.resolve(undefined) : readAll(process.stdin, bytesMax)),
    onInterrupt: (listener) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, listener);
      return () => {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, listener);
      };
    },
    get exitCode() {
      return typeof process.exitCode === 'number' ? process.exitCode : 0;
    },
    set exitCode(code: number) {
      process.exitCode = code;
    },
  };
}

export async function readAll(stream: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new ArchipelError('too-large', `A value may have at most ${bytesMax} bytes.`);
    chunks.push(chunk);
  }
  return concatBytes(...chunks);
}
