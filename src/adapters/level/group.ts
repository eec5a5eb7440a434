// A group of writes that share a sync, while it fills and on its way to the disk.

export type Operation = { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array } | { readonly type: 'del'; readonly key: Uint8Array };

/** One write's share of a group. The group's owner is told when all of it is durable, before the writers are. */
export interface GroupWrite {
  readonly operations: readonly Operation[];
  /** Handed to the group's owner when the group is sealed and when it is durable. */
  readonly change?: unknown;
  /** Called before the disk has done; what it answers, as soon as the group is durable, before its owner and its writers are told. */
  readonly meanwhile?: (() => () => void) | undefined;
}

export interface GroupOwner {
  /** The group is complete: adds what concerns the group as a whole (the row of the change log). */
  seal(changes: readonly unknown[]): readonly Operation[];
  /** The group is durable. Called before any of its writers is answered. */
  durable(changes: readonly unknown[]): void;
  /** The group, and everything decided on it, did not become durable. */
  failed(): void;
}

export interface Group {
  readonly operations: Operation[];
  readonly changes: unknown[];
  readonly meanwhile: (() => () => void)[];
  readonly settled: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  writes: number;
  bytes: number;
  /** All of it gives room back: taken on a full disk too. */
  frees: boolean;
  /** Of its entry in the journal. */
  sequence: number;
}

/** `no-space`: nothing was tried. */
export type Outcome = 'durable' | 'no-space' | { readonly error: unknown };

/** A group on its way to the disk. */
export interface Begun {
  readonly group: Group;
  /** What is done, first of all, when it is durable. */
  readonly prepared: readonly (() => void)[];
  readonly outcome: Promise<Outcome> | Outcome;
}

export const outcomeOf = (written: Promise<void>): Promise<Outcome> => written.then((): Outcome => 'durable', (error: unknown) => ({ error }));

export function newGroup(): Group {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => undefined); // every writer has its own handle on it; none may be left
  return { operations: [], changes: [], meanwhile: [], settled: promise, resolve, reject, writes: 0, bytes: 0, frees: true, sequence: 0 };
}
