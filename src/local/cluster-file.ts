// `cluster.json`: what a running cluster says of itself, for people, supervisors and the command line.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ArchipelError } from '../core/errors.ts';
import type { RegionId } from '../core/version/dot.ts';

/** What `cluster.json` and `up --json` say. A process that is dead just now has the pid 0. */
export interface ClusterFile {
  readonly edge: { readonly url: string; readonly pid: number };
  readonly regions: readonly { readonly id: RegionId; readonly url: string; readonly pid: number; readonly data: string }[];
  readonly adminKey: string | undefined;
  /** With TLS: the certificate that clients have to trust. */
  readonly tlsCert?: string;
}

export const clusterFilePath = (data: string): string => join(data, 'cluster.json');

/** The running cluster of a data folder. @throws ArchipelError with a sentence for people */
export function readClusterFile(data: string): ClusterFile {
  const file = parse(data);
  const pids = [file.edge.pid, ...file.regions.map(({ pid }) => pid)];
  // It is rewritten when a process dies and removed at the end; only a parent that was killed leaves an old one behind.
  if (!pids.some(isAlive)) throw notRunning(data, 'the processes that its cluster.json names are gone');
  return file;
}

function parse(data: string): ClusterFile {
  try {
    return JSON.parse(readFileSync(clusterFilePath(data), 'utf8')) as ClusterFile;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw notRunning(data, 'there is no cluster.json');
    throw new ArchipelError('bad-request', `${clusterFilePath(data)} cannot be read (${code ?? 'it is not JSON'}).`, {}, error);
  }
}

const notRunning = (data: string, why: string): ArchipelError =>
  new ArchipelError('bad-request', `No cluster is running on ${data} (${why}). Start one with npm start, or give --data, or --url and --key.`);

function isAlive(pid: number): boolean {
  if (pid === 0) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // it lives, as somebody else
  }
}
