// The table of the goals: which rows there are, and measuring them. A row that misses its floor is measured again until most
// of its attempts agree, and the output says so; it also says when others took more than a little of the processors, and
// waits for them before it measures again. A miss is never explained away, whoever else used the machine.

import { Neighbours, quietMachine } from './lib/processes.ts';
import { heading, isDecided, judgeRow, missed, printed, type Row } from './lib/results.ts';
import type { Scenario, Size } from './lib/scenario.ts';
import { alone } from './rows/alone.ts';
import { comparing } from './rows/comparing.ts';
import { keeping } from './rows/keeping.ts';
import { large } from './rows/large.ts';
import { trio } from './rows/trio.ts';

/** Odd, so that there is a majority. A small run scatters more, and as a gate it must not close by chance. */
const ATTEMPTS_MAX = { full: 3, quick: 5 };
/** How long a measurement waits for a machine that others use; then it measures all the same. */
const QUIET_WAIT_MS = 30_000;
const SCENARIOS: readonly Scenario[] = [alone, trio, comparing, keeping, large];

export const ROWS: Readonly<Record<string, string>> = {
  P1: 'GET, 64 connections, over hono with a constant 1 KB',
  P2: 'durable PUT, 64 connections, over hono reading and dropping',
  P3: 'a durable PUT alone, p50, over fdatasync and a hello',
  P4: 'replicated writes, three synced copies, over the hono of P2',
  P5: 'CPU of the whole cluster per replicated write',
  P6: 'replication lag',
  P7: 'after an outage, until all is there',
  P8: 'kill -9 of a region',
  P9: 'anti-entropy',
  P10: 'digests',
  P14: 'memory',
  P15: 'disk over payload, compacted',
  P16: '10 KB values',
};

export class Table {
  readonly size: Size;
  readonly rows = new Map<string, Row>();
  readonly #open: ReadonlySet<string>;

  constructor(size: Size, open: ReadonlySet<string>) {
    this.size = size;
    this.#open = open;
  }

  get short(): Row[] {
    return [...this.rows.values()].filter((row) => judgeRow(row) !== 'goal');
  }

  async measure(wanted: ReadonlySet<string>): Promise<void> {
    console.log(heading());
    for (const scenario of SCENARIOS) await this.#settle(scenario, new Set(scenario.rows.filter((id) => wanted.has(id))));
  }

  /** Of another build it tells nothing. */
  isInProcess(id: string): boolean {
    return SCENARIOS.some(({ inProcess = [] }) => inProcess.includes(id));
  }

  /** Once more, these rows alone, whatever they show. */
  async again(wanted: ReadonlySet<string>): Promise<Row[]> {
    await quietMachine(QUIET_WAIT_MS);
    const rows: Row[] = [];
    for (const scenario of SCENARIOS) rows.push(...(await this.#attempt(scenario, new Set(scenario.rows.filter((id) => wanted.has(id))), 1)));
    return rows;
  }

  async #attempt(scenario: Scenario, asked: ReadonlySet<string>, attempt: number): Promise<Row[]> {
    if (asked.size === 0) return [];
    const neighbours = new Neighbours();
    const figures = await scenario.measure(this.size, asked);
    const share = neighbours.share();
    return [...asked].map((id) => ({ id, title: ROWS[id] as string, figures: figures[id] ?? [], attempts: attempt, neighbours: share }));
  }

  async #settle(scenario: Scenario, wanted: ReadonlySet<string>): Promise<void> {
    const outcomes = new Map<string, boolean[]>();
    const most = ATTEMPTS_MAX[this.size.quick ? 'quick' : 'full'];
    let asked = wanted;
    for (let attempt = 1; asked.size > 0; attempt++) {
      if (attempt > 1) await quietMachine(QUIET_WAIT_MS);
      const rows = await this.#attempt(scenario, asked, attempt);
      for (const row of rows) {
        this.rows.set(row.id, row);
        outcomes.set(row.id, [...(outcomes.get(row.id) ?? []), !missed(row)]);
      }
      // One that is open is known to miss: it is measured once, and is no reason to measure anything again.
      const unsure = rows.filter(({ id }) => !this.#open.has(id) && !isDecided(outcomes.get(id) ?? [], most));
      for (const row of rows) if (!unsure.includes(row)) console.log(printed(row));
      if (unsure.length > 0) console.log(`      measured again: ${unsure.map(({ id }) => id).join(', ')} (${unsure.map(({ figures }) => figures.map(({ value }) => value.toPrecision(3)).join(' / ')).join('; ')})`);
      asked = new Set(unsure.map(({ id }) => id));
    }
  }
}
