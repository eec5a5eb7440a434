// Files that processes of one machine share: secrets, keys, the topology.

import { accessSync, constants, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';
import { createSecureContext } from 'node:tls';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ArchipelError } from '../core/errors.ts';
import { topologyFault, type Topology } from '../core/placement/topology.ts';
import type { RegionId } from '../core/version/dot.ts';
import { DOCS_FILES, type DocsFiles } from '../http/docs-page.ts';

const PRIVATE = 0o600;
const PRIVATE_FOLDER = 0o700;

/** What lies in it is its owner's: values stand in the store as they were written. @throws ArchipelError `storage-unavailable` with a sentence for people */
export function ensureFolder(path: string): void {
  try {
    makeFolders(path, PRIVATE_FOLDER);
    accessSync(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'EEXIST' || code === 'ENOTDIR' ? 'cannot be made: a file is in the way' : `cannot be written (${code ?? String(error)})`;
    throw new ArchipelError('storage-unavailable', `The folder ${path} ${why}.`, {}, error);
  }
}

/** One by one: `recursive` goes round for ever where a parent exists and refuses to hold folders, like /proc. */
function makeFolders(path: string, mode?: number): void {
  if (isFolder(path)) return;
  if (dirname(path) !== path) makeFolders(dirname(path));
  try {
    mkdirSync(path, mode);
  } catch (error) {
    if (!isFolder(path)) throw error; // another process may have been faster
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** Whole or not at all. */
export function writePrivate(path: string, content: string): void {
  const draft = `${path}.draft`;
  writeFileSync(draft, content, { mode: PRIVATE });
  renameSync(draft, path);
}

/** The file's text without the line end, or what `make` gives, stored for the next time. */
export function readOrMake(path: string, make: () => string): { readonly content: string; readonly made: boolean } {
  if (existsSync(path)) return { content: readText(path), made: false };
  const content = make();
  writePrivate(path, `${content}\n`);
  return { content, made: true };
}

/** @throws ArchipelError `bad-request` with a sentence for people */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new ArchipelError('bad-request', `The file ${path} cannot be read.`, {}, error);
  }
}

/** @throws ArchipelError `bad-request` when these are not a certificate and its key */
export function readTls({ certFile, keyFile }: { readonly certFile: string; readonly keyFile: string }): { readonly cert: string; readonly key: string } {
  const tls = { cert: readText(certFile), key: readText(keyFile) };
  try {
    createSecureContext(tls);
    return tls;
  } catch (error) {
    throw new ArchipelError('bad-request', `${certFile} and ${keyFile} are not a TLS certificate and its key (${error instanceof Error ? error.message : String(error)}).`, {}, error);
  }
}

/** @throws ArchipelError `bad-request` for a document that must not be put in force */
export function readTopology(path: string): Topology {
  const text = readText(path);
  let topology: Topology;
  try {
    topology = JSON.parse(text) as Topology;
  } catch (error) {
    throw new ArchipelError('bad-request', `${path} is not JSON.`, {}, error);
  }
  const fault = topologyFault(topology);
  if (fault !== undefined) throw new ArchipelError('bad-request', `${path}: ${fault}`);
  return topology;
}

export const topologyPath = (data: string): string => join(data, 'topology.json');

/** The regions of a cluster's data, where there is any. @throws as `readTopology` */
export function regionsOf(data: string): RegionId[] | undefined {
  const path = topologyPath(data);
  return existsSync(path) ? readTopology(path).regions.map(({ id }) => id) : undefined;
}

const CONTENT_TYPES: Readonly<Record<string, string>> = { css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8', png: 'image/png' };

/** Swagger UI from the installed package, and the pages of this repository. */
export function installedDocs(): DocsFiles {
  const folder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  const known = new Map<string, { bytes: Uint8Array; contentType: string }>();
  return {
    read: async (name) => {
      if (!DOCS_FILES.includes(name)) return undefined;
      const cached = known.get(name) ?? { bytes: await readFile(join(folder, name)), contentType: CONTENT_TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream' };
      known.set(name, cached);
      return cached;
    },
    problem: (name) => readFile(new URL(`../../docs/problems/${name}.md`, import.meta.url), 'utf8').catch(() => undefined),
  };
}

/** Of a file or folder beside the sources of this very installation. */
export const installedPath = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** The command line program, for starting further processes. */
export const programPath = (): string => installedPath('bin/archipel.js');
