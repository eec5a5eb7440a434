// A document that this region alone writes: what counts is what it says now, whoever of several writers comes last.

import { utf8, utf8Text } from '../core/bytes.ts';
import type { Table } from '../ports/table.ts';

export async function readDocument<T>(table: Table, name: string): Promise<T | undefined> {
  const stored = await table.document(name);
  return stored === undefined ? undefined : (JSON.parse(utf8Text(stored.bytes) ?? '') as T);
}

/** Durable when it resolves. `content` is asked at each try, so that the last to be written is never an old one. */
export async function keepDocument(table: Table, name: string, content: () => unknown): Promise<void> {
  for (;;) {
    const stored = await table.document(name);
    if (await table.putDocument(name, utf8(JSON.stringify(content())), stored?.revision)) return;
  }
}
