// Logs as lines of JSON on standard error.

import type { Log, LogLevel } from '../../ports/log.ts';

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

export class JsonLog implements Log {
  readonly #base: Readonly<Record<string, unknown>>;
  readonly #least: number;

  constructor(base: Readonly<Record<string, unknown>>, least: LogLevel = 'info') {
    this.#base = base;
    this.#least = LEVELS.indexOf(least);
  }

  write(level: LogLevel, event: string, fields: Readonly<Record<string, unknown>> = {}): void {
    if (LEVELS.indexOf(level) < this.#least) return;
    process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...this.#base, ...fields })}\n`);
  }
}
