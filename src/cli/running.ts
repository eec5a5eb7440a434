// What the commands that run a process of a cluster have in common.

import { resolve } from 'node:path';
import { ArchipelError } from '../core/errors.ts';
import { readText, readTls } from '../local/files.ts';
import type { Parent, Terminal } from './terminal.ts';

export const collect = (value: string, before: readonly string[]): string[] => [...before, value];

export interface TlsFlags {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

export function tlsFiles({ tlsCert, tlsKey }: TlsFlags): { readonly certFile: string; readonly keyFile: string } | undefined {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw new ArchipelError('bad-request', '--tls-cert and --tls-key go together.');
  return tlsCert === undefined || tlsKey === undefined ? undefined : { certFile: resolve(tlsCert), keyFile: resolve(tlsKey) };
}

export function tlsOf(flags: TlsFlags): { readonly cert: string; readonly key: string } | undefined {
  const files = tlsFiles(flags);
  return files === undefined ? undefined : readTls(files);
}

const SECRET_CHARACTERS_MIN = 16;

export function readSecret(file: string): string {
  const secret = readText(file);
  if (secret.length < SECRET_CHARACTERS_MIN) throw new ArchipelError('bad-request', `The file ${file} holds no secret that regions could share: it has to have ${SECRET_CHARACTERS_MIN} characters at least.`);
  return secret;
}

export const urlOf = (flags: TlsFlags, host: string, port: number): string => `${flags.tlsCert === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;

/** To whoever started it by hand; a parent with a channel is told there. */
export async function ready(terminal: Terminal, { json }: { readonly json?: boolean }, content: object, sentence: string): Promise<void> {
  if (terminal.parent === undefined) await terminal.out.write(`${json === true ? JSON.stringify(content) : sentence}\n`);
}

/** A stop that hangs must not outlive whoever asked for it: the store is safe at any moment. */
const STOP_MS_MAX = 10_000;

/** Tells a parent that it is ready, and ends when the parent is gone, or asks for it. */
export function liveWith(parent: Parent | undefined, stop: () => Promise<void>): void {
  let stopping: Promise<void> | undefined;
  const end = (): void => {
    setTimeout(() => process.exit(1), STOP_MS_MAX).unref();
    stopping ??= stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, end);
  process.on('disconnect', end);
  // It may have gone while this process was starting.
  if (parent !== undefined && !process.connected) return end();
  void parent?.send({ ready: true });
}
