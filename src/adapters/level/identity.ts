// Is this data folder the one that this region last wrote, or a copy of it? A copy, an older one above all, has forgotten
// dots that the region has issued; going on under the same actor would issue dots again, or leave a gap in its history
// that other replicas read as "seen". What a copy of the files does not carry is the inode of a marker file and the time
// of its birth: when they differ from what the store noted, a new incarnation is drawn. One too many is harmless.

import { statSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { utf8, utf8Text } from '../../core/bytes.ts';
import type { Random } from '../../ports/random.ts';
import type { Table } from '../../ports/table.ts';
import type { Durability } from './store.ts';

/** Why the region goes by the incarnation that it goes by. */
export type Origin = 'first' | 'same' | 'copied' | 'unclean' | 'asked';

export interface Identity {
  readonly incarnation: string;
  readonly origin: Origin;
  /** The folder may lack what the peers hold: it is new, or it was and they have not given it back yet. */
  readonly isNew: boolean;
}

interface Note {
  readonly incarnation: string;
  readonly marker: string;
  /** In `relaxed` durability a power cut may forget the last second: only a clean stop keeps the incarnation. */
  readonly clean: boolean;
  /** Kept until `noteRecovered`: a start that is killed before is begun again as new. */
  readonly isNew?: boolean;
}

const DOCUMENT = 'identity';
const MARKER = 'marker';

export async function identify(folder: string, table: Table, random: Random, durability: Durability): Promise<Identity> {
  const stored = await table.document(DOCUMENT);
  const note = stored === undefined ? undefined : (JSON.parse(utf8Text(stored.bytes) as string) as Note);
  const path = join(folder, MARKER);
  const origin = originOf(note, existsSync(path) ? markOf(path) : undefined, durability);
  if (origin !== 'same' && !existsSync(path)) writeFileSync(path, 'Its inode tells this folder from a copy of it. Do not copy, do not delete.\n', { mode: 0o600 });
  const incarnation = origin === 'same' && note !== undefined ? note.incarnation : newIncarnation(random);
  // After an unclean start the last second may be gone, or the whole folder be an old one that was put back below the files:
  // under a new incarnation no peer can tell.
  const isNew = origin !== 'same' || note?.isNew === true;
  await save(table, { incarnation, marker: markOf(path), clean: false, isNew });
  return { incarnation, origin, isNew };
}

function originOf(note: Note | undefined, mark: string | undefined, durability: Durability): Origin {
  if (note === undefined) return 'first';
  if (note.marker !== mark) return 'copied';
  return durability === 'relaxed' && !note.clean ? 'unclean' : 'same';
}

/** A peer has seen stamps of this actor that this table has not: it is an older copy after all. */
export async function drawIncarnation(folder: string, table: Table, random: Random): Promise<Identity> {
  const incarnation = newIncarnation(random);
  await save(table, { incarnation, marker: markOf(join(folder, MARKER)), clean: false, isNew: true });
  return { incarnation, origin: 'asked', isNew: true };
}

/** The peers have given back what they hold. */
export const noteRecovered = (table: Table): Promise<void> => change(table, (note) => ({ ...note, isNew: false }));

export const noteCleanStop = (table: Table): Promise<void> => change(table, (note) => ({ ...note, clean: true }));

async function save(table: Table, note: Note): Promise<void> {
  const before = await table.document(DOCUMENT);
  if (!(await table.putDocument(DOCUMENT, utf8(JSON.stringify(note)), before?.revision))) return save(table, note);
}

async function change(table: Table, next: (note: Note) => Note): Promise<void> {
  const before = await table.document(DOCUMENT);
  if (before === undefined) throw new TypeError('A folder is identified before it is changed.');
  const note = next(JSON.parse(utf8Text(before.bytes) as string) as Note);
  if (!(await table.putDocument(DOCUMENT, utf8(JSON.stringify(note)), before.revision))) return change(table, next);
}

function markOf(path: string): string {
  const { ino, birthtimeNs } = statSync(path, { bigint: true });
  return `${ino}.${birthtimeNs}`;
}

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';

/** Five characters of 36: two draws of one region coincide once in sixty million. */
function newIncarnation(random: Random): string {
  return Array.from(random.bytes(5), (byte) => ALPHABET[byte % 36]).join('');
}
