// Structured logs: an event with fields. Never a secret, a token or a value; keys only as hashes.

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface Log {
  write(level: LogLevel, event: string, fields?: Readonly<Record<string, unknown>>): void;
}

export const SILENT: Log = { write: () => undefined };
