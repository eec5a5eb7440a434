// What must hold of what passes by: messages between regions, leases, answers of the edge. The rest is looked at with the
// commits and at the end (checker.ts).

import type { LoggedCommit } from '../adapters/sim/change-log.ts';
import { keyText, utf8Text } from '../core/bytes.ts';
import { decodeKey } from '../core/keys/item-key.ts';
import { REQUEST_DEADLINE_MS } from '../core/limits.ts';
import { decodeLossRow, isLossRow } from '../core/version/loss-row.ts';
import { findOperation, operationOf } from '../core/version/operations.ts';
import type { State } from '../core/version/record.ts';
import { bodyOf, decodeRecords } from '../engine/envelope.ts';
import type { Lease } from '../engine/lease.ts';
import type { StoredItem } from '../ports/table.ts';
import type { ClusterWatcher, SimRegion } from './cluster.ts';
import type { Exchange, HttpQuestion } from './doors.ts';
import { holdsPoison } from './rare-faults.ts';
import { valuesOf } from './workload.ts';

/** The checker, as far as it is needed here. */
export interface Overseer {
  readonly damaged: ReadonlySet<SimRegion>;
  /** Clocks were stepped in this run. */
  isInDoubt(): boolean;
  /** Was it ever on a disk? Also true for what no client wrote. */
  wasDurable(value: string): boolean;
  logged(commit: LoggedCommit): void;
  /** Another topology document comes into force there. */
  takesDocument(region: SimRegion): void;
  violated(rule: string, what: string): void;
}

export class Passing {
  readonly #overseer: Overseer;
  /** Values that each region took from others. */
  readonly arrivals = new Map<SimRegion, Set<string>>();
  /** Region and item: where a write was ever committed that is to be sent. */
  readonly #wrote = new Set<string>();
  /** The last grant of each job, by where it is kept. */
  readonly #leases = new Map<string, Lease>();

  constructor(overseer: Overseer) {
    this.#overseer = overseer;
  }

  /** With who looks at each commit. */
  watcher(committed: ClusterWatcher['committed']): ClusterWatcher {
    return {
      committed,
      logged: (region, commit) => {
        this.logged(region, commit.key, commit.kind);
        this.#overseer.logged(commit);
      },
      arrived: (region, state, before) => this.#arrived(region, state, before),
      asked: (region, method, question) => {
        if (method === 'inbox') this.#noEcho(region, question);
      },
      kept: (region, name, bytes) => {
        if (name === 'topology') this.#overseer.takesDocument(region);
        if (name.startsWith('lease/')) this.#granted(region, name, JSON.parse(utf8Text(bytes) ?? '') as Lease);
      },
      answered: (region, question, answer) => this.#shown(region, question, answer),
      edgeAnswered: (ms) => {
        if (ms > REQUEST_DEADLINE_MS + 1) this.#overseer.violated('the edge answers in time', `after ${ms.toFixed(0)} ms`);
      },
    };
  }

  logged(region: SimRegion, { encoded }: StoredItem['key'], kind: StoredItem['record']['kind']): void {
    if (kind === 'local') this.#wrote.add(`${region.id} ${keyText(encoded)}`);
  }

  /** Not of an operation that the record knew before: whoever told it of that has the row. */
  #arrived(region: SimRegion, { values, operations }: State, before: State | undefined): void {
    const known = this.arrivals.get(region) ?? new Set<string>();
    for (const { dot, value } of values) {
      const id = operationOf(operations, dot);
      if (id === undefined || before === undefined || findOperation(before.operations, id) === undefined) known.add(utf8Text(value.bytes) ?? '');
    }
    this.arrivals.set(region, known);
  }

  /** What a region only applied it does not send: the one that wrote it does. */
  #noEcho(region: SimRegion, question: Uint8Array): void {
    const records = decodeRecords(bodyOf(question));
    if (holdsPoison(records)) return; // put in by the fault
    for (const { key, state } of records) {
      if (isLossRow(state)) this.#ownRow(region, state);
      else if (!this.#wrote.has(`${region.id} ${keyText(key)}`) && decodeKey(key) !== undefined) this.#overseer.violated('what was applied is not sent on', `${region.id} sends an item that it never wrote`);
    }
  }

  /** Who found the loss sends the row. */
  #ownRow(region: SimRegion, state: Uint8Array): void {
    const { region: finder } = decodeLossRow(state);
    if (finder !== region.id) this.#overseer.violated('what was applied is not sent on', `${region.id} sends a row of the ledger of ${finder}`);
  }

  /** What a reader is shown is on a disk: a crash takes nothing back that anybody has seen. */
  #shown(region: SimRegion, { method, target }: HttpQuestion, answer: Exchange): void {
    if (method !== 'GET' || !target.includes('/items/')) return;
    for (const value of valuesOf(answer)) if (!this.#overseer.wasDurable(value)) this.#overseer.violated('nothing is shown before it is durable', `${region.id} shows ${value}`);
  }

  /** Tokens rise with every grant. A table that forgot begins at the time of its clock. */
  #granted(region: SimRegion, name: string, lease: Lease): void {
    const place = `${region.id} ${name}`;
    const before = this.#leases.get(place);
    this.#leases.set(place, lease);
    const isSame = before === undefined || lease.untilMs === 0 || (before.untilMs !== 0 && before.holder === lease.holder && before.token === lease.token);
    if (isSame || this.#overseer.isInDoubt() || this.#overseer.damaged.has(region) || lease.token > before.token) return;
    this.#overseer.violated('a fencing token rises with every grant', `${place}: ${JSON.stringify(before)} -> ${JSON.stringify(lease)}`);
  }
}
