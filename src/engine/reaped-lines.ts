// The reaped line of each partition: the largest stamp of a tombstone that was ever reaped there. All of them are one
// document of the table, so that a start, or an environment on Lambda, learns them with one read. A line never falls.

import { ByteReader, ByteWriter, fromHex, toHex } from '../core/bytes.ts';
import { asGroupId, partitionOf, type GroupId, type ItemKey, type PartitionId } from '../core/keys/item-key.ts';
import { FORMAT_VERSION, NewerFormatError } from '../core/version/codec.ts';
import { asStamp, STAMP_ZERO, type Stamp } from '../core/version/stamp.ts';
import type { Table } from '../ports/table.ts';

export interface Line {
  readonly group: GroupId;
  readonly partition: PartitionId;
  readonly stamp: Stamp;
}

const DOCUMENT = 'reaped-lines';

const nameOf = (group: GroupId, partition: PartitionId): string => `${group} ${partition}`;

export class ReapedLines {
  readonly #table: Table;
  readonly #lines = new Map<string, Line>();
  /** How often something was reaped in a partition: an answer from before says nothing about what came after. */
  readonly #turns = new Map<string, number>();
  readonly #raising = new Set<Promise<void>>();

  constructor(table: Table) {
    this.#table = table;
  }

  /** At start; and again where other processes raise lines too. */
  async load(): Promise<void> {
    const stored = await this.#table.document(DOCUMENT);
    for (const line of stored === undefined ? [] : decodeLines(stored.bytes)) {
      if (!this.#isHigher(line)) continue;
      this.#learn(line);
      this.#turned(line);
    }
  }

  of({ group, encoded }: Pick<ItemKey, 'group' | 'encoded'>): Stamp {
    return this.#lines.size === 0 ? STAMP_ZERO : (this.#lines.get(nameOf(group, partitionOf(encoded)))?.stamp ?? STAMP_ZERO);
  }

  turn({ group, encoded }: Pick<ItemKey, 'group' | 'encoded'>): number {
    return this.#turns.get(nameOf(group, partitionOf(encoded))) ?? 0;
  }

  all(): readonly Line[] {
    return [...this.#lines.values()];
  }

  /** Undefined when no line is being raised now. */
  raising(): Promise<unknown> | undefined {
    return this.#raising.size === 0 ? undefined : Promise.allSettled(this.#raising);
  }

  /** Durable when it resolves; only then may a record below a line go. */
  raise(lines: readonly Line[]): Promise<void> {
    const raised = this.#raise(lines).finally(() => this.#raising.delete(raised));
    this.#raising.add(raised);
    return raised;
  }

  async #raise(lines: readonly Line[]): Promise<void> {
    while (lines.some((line) => this.#isHigher(line))) {
      const stored = await this.#table.document(DOCUMENT);
      for (const line of stored === undefined ? [] : decodeLines(stored.bytes)) this.#learn(line);
      const raised = new Map(this.#lines);
      for (const line of lines) if (line.stamp > (raised.get(nameOf(line.group, line.partition))?.stamp ?? STAMP_ZERO)) raised.set(nameOf(line.group, line.partition), line);
      if (!(await this.#table.putDocument(DOCUMENT, encodeLines([...raised.values()]), stored?.revision))) continue;
      for (const line of lines) this.#learn(line);
    }
    for (const line of lines) this.#turned(line);
  }

  #turned({ group, partition }: Line): void {
    this.#turns.set(nameOf(group, partition), (this.#turns.get(nameOf(group, partition)) ?? 0) + 1);
  }

  #isHigher({ group, partition, stamp }: Line): boolean {
    return stamp > (this.#lines.get(nameOf(group, partition))?.stamp ?? STAMP_ZERO);
  }

  #learn(line: Line): void {
    if (this.#isHigher(line)) this.#lines.set(nameOf(line.group, line.partition), line);
  }
}

/** u8 version · count · (4 group, u8 partition, u64 stamp)*: 13 bytes a partition, 3.3 KB a group. */
export function encodeLines(lines: readonly Line[]): Uint8Array {
  const out = new ByteWriter(16 * lines.length + 8).u8(FORMAT_VERSION).varint(lines.length);
  for (const { group, partition, stamp } of lines) out.bytes(fromHex(group) as Uint8Array).u8(partition).u64(stamp);
  return out.finish();
}

export function decodeLines(bytes: Uint8Array): Line[] {
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  if (version > FORMAT_VERSION) throw new NewerFormatError(version);
  return Array.from({ length: reader.varint() }, () => ({ group: asGroupId(toHex(reader.bytes(4))), partition: reader.u8(), stamp: asStamp(reader.u64()) }));
}
