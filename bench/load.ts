// The load generator: a process of its own, because ratios against a bare server mean little when server and client share
// a thread. Takes jobs from its parent and answers each with what it saw. Bounded: every job has an end in time.

import { randomBytes } from 'node:crypto';
import type { Job, Keys, LagJob, LagResult, LoadJob, LoadResult } from './lib/jobs.ts';
import { quantile } from './lib/numbers.ts';
import { speaker, type Speaker } from './lib/protocols.ts';
import { fieldOf, requestBytes, Wire, type Answered } from './lib/wire.ts';

const UNSEEN_MS = 5_000;
const BROKEN_WAIT_MS = 5;
/** Different values, so that nothing between here and the disk can make a little of many equal ones. */
const VALUES = 256;

const makeValues = (bytes: number): Uint8Array[] => Array.from({ length: VALUES }, () => randomBytes(bytes));

function numbers({ count, order, from = 0 }: Keys): () => number {
  if (order === 'uniform') return () => Math.floor(Math.random() * count);
  let next = from;
  if (order === 'in-turn') return () => next++;
  const drawn = zipfian(count);
  let at = Math.floor(Math.random() * drawn.length);
  return () => drawn[(at = (at + 1) % drawn.length)] as number;
}

const DRAWN = 1 << 19;
const drawnOf = new Map<number, Uint32Array>();

/** Drawn beforehand: what it costs must not be taken for the server's. */
function zipfian(count: number): Uint32Array {
  const known = drawnOf.get(count);
  if (known !== undefined) return known;
  const sums = new Float64Array(count);
  for (let rank = 0, sum = 0; rank < count; rank++) sums[rank] = sum += 1 / (rank + 1) ** 0.99;
  const scattered = Uint32Array.from({ length: count }, (_, number) => number);
  for (let at = count - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    [scattered[at], scattered[other]] = [scattered[other] as number, scattered[at] as number];
  }
  const drawn = Uint32Array.from({ length: DRAWN }, () => {
    const wanted = Math.random() * (sums[count - 1] as number);
    let low = 0;
    for (let high = count - 1; low < high; ) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) < wanted) low = middle + 1;
      else high = middle;
    }
    return scattered[low] as number;
  });
  drawnOf.set(count, drawn);
  return drawn;
}

const nameOf = ({ prefix, group }: Keys, number: number): string => (group === undefined ? `${prefix}${number}` : `${prefix}${Math.floor(number / group)}/${number % group}`);

class Load {
  readonly #job: LoadJob;
  readonly #values: readonly Uint8Array[];
  readonly #next: () => number;
  readonly #latencies: number[] = [];
  readonly #statuses: Record<number, number> = {};
  readonly #unanswered = new Set<number>();
  /** Requests for keys by chance, made once: what a client sends is not what is measured. */
  readonly #made = new Map<number, Uint8Array>();
  /** Of connections that do not speak HTTP. */
  readonly #speakers = new Map<Wire, Speaker>();
  #sent = 0;
  #done = 0;
  #reads = 0;
  #broken = 0;
  #largest = -1;
  #gapMs = 0;
  #answeredMs = 0;
  #stopped = false;
  readonly #late: number[] = [];
  #wake: () => void = () => undefined;

  constructor(job: LoadJob) {
    this.#job = job;
    this.#values = job.valueBytes === undefined ? [] : makeValues(job.valueBytes);
    this.#next = job.keys === undefined ? () => 0 : numbers(job.keys);
  }

  async run(): Promise<LoadResult> {
    const { connections, seconds, perSecond } = this.#job;
    const startedMs = performance.now();
    const cpu = process.cpuUsage();
    this.#answeredMs = startedMs;
    const stop = setTimeout(() => ((this.#stopped = true), this.#wake()), seconds * 1_000);
    const { protocol = 'http' } = this.#job;
    const wires = Array.from({ length: connections }, () => {
      const speak = protocol === 'http' ? undefined : speaker(protocol);
      const wire = new Wire(this.#job.url, speak);
      if (speak !== undefined) this.#speakers.set(wire, speak);
      return wire;
    });
    if (perSecond === undefined) await Promise.all(wires.map((wire) => this.#drive(wire)));
    else await this.#pace(wires, perSecond, startedMs);
    clearTimeout(stop);
    for (const wire of wires) wire.close();
    const used = process.cpuUsage(cpu);
    const passed = (performance.now() - startedMs) / 1_000;
    const latencies = this.#latencies.sort((a, b) => a - b);
    return {
      done: this.#done,
      statuses: this.#statuses,
      broken: this.#broken,
      unanswered: [...this.#unanswered],
      next: this.#largest + 1,
      seconds: passed,
      perSecond: this.#done / passed,
      p50Ms: quantile(latencies, 0.5),
      p99Ms: quantile(latencies, 0.99),
      p999Ms: quantile(latencies, 0.999),
      maxMs: latencies.at(-1) ?? 0,
      lateMs: quantile(this.#late.sort((a, b) => a - b), 0.99),
      gapMs: this.#gapMs,
      readsPerAnswer: this.#reads / Math.max(1, this.#done),
      cpuMicros: used.user + used.system,
    };
  }

  #requestOn(wire: Wire, number: number): Uint8Array {
    const speak = this.#speakers.get(wire);
    if (speak === undefined) return this.#request(number);
    const key = nameOf(this.#job.keys as Keys, number);
    const value = this.#values[this.#sent % VALUES];
    return value === undefined ? speak.get(key) : speak.put(key, value);
  }

  #request(number: number): Uint8Array {
    const { method, path, keys, headers } = this.#job;
    const target = keys === undefined ? path : path + nameOf(keys, number);
    if (this.#values.length > 0) return requestBytes(method, target, headers, this.#values[this.#sent % VALUES]);
    let request = this.#made.get(number);
    if (request === undefined) this.#made.set(number, (request = requestBytes(method, target, headers)));
    return request;
  }

  /** Closed loop. */
  #drive(wire: Wire): Promise<void> {
    return new Promise((resolve) => {
      const step = (): void => {
        if (this.#isOver) return resolve();
        this.#ask(wire, performance.now(), (goOn) => (goOn === 'now' ? step() : goOn === 'soon' ? void setTimeout(step, BROKEN_WAIT_MS) : resolve()));
      };
      step();
    });
  }

  /** Open loop: what is due goes out on whichever connection is free. */
  #pace(wires: readonly Wire[], perSecond: number, startedMs: number): Promise<void> {
    const free = [...wires];
    let gone = 0;
    let turn = 0;
    let timer: NodeJS.Timeout | undefined;
    return new Promise((resolve) => {
      const dueMs = (): number => startedMs + (turn * 1_000) / perSecond;
      // A connection that is free when a request becomes due is not what the request waited for.
      let freeSinceMs = startedMs;
      const release = (wire: Wire): void => {
        if (free.length === 0) freeSinceMs = performance.now();
        free.push(wire);
        pump();
      };
      const pump = (): void => {
        for (let nowMs = performance.now(); !this.#isOver && free.length > 0 && dueMs() <= nowMs; turn++) {
          const waited = freeSinceMs > dueMs();
          if (!waited) this.#late.push(nowMs - dueMs());
          const wire = free.pop() as Wire;
          this.#ask(wire, waited ? dueMs() : nowMs, (goOn) => {
            if (goOn === 'now') return release(wire);
            if (goOn === 'soon') return void setTimeout(release, BROKEN_WAIT_MS, wire);
            gone++;
            pump();
          });
        }
        if (this.#isOver || gone > 0) {
          clearTimeout(timer);
          if (free.length + gone === wires.length) resolve();
        } else if (free.length > 0) {
          clearTimeout(timer);
          timer = setTimeout(pump, Math.max(0, dueMs() - performance.now()));
        }
      };
      this.#wake = pump;
      pump();
    });
  }

  get #isOver(): boolean {
    return this.#stopped || this.#sent >= (this.#job.requests ?? Number.POSITIVE_INFINITY);
  }

  #ask(wire: Wire, fromMs: number, then: (goOn: 'now' | 'soon' | 'never') => void): void {
    const number = this.#next();
    const request = this.#requestOn(wire, number);
    this.#sent++;
    if (this.#job.keys?.order === 'in-turn') this.#unanswered.add(number);
    this.#largest = Math.max(this.#largest, number);
    wire.send(request, (answer) => then(this.#note(number, fromMs, answer) ? 'now' : answer === undefined ? 'soon' : 'never'));
  }

  /** True: go on at once. */
  #note(number: number, fromMs: number, answer: Answered | undefined): boolean {
    if (answer === undefined) {
      this.#broken++;
      if (this.#job.tolerant !== true) this.#stopped = true;
      return false;
    }
    const nowMs = performance.now();
    this.#statuses[answer.status] = (this.#statuses[answer.status] ?? 0) + 1;
    if (answer.status >= 300) return this.#job.tolerant === true || answer.status < 500;
    this.#done++;
    this.#reads += answer.reads;
    this.#unanswered.delete(number);
    this.#latencies.push(nowMs - fromMs);
    this.#gapMs = Math.max(this.#gapMs, nowMs - this.#answeredMs);
    this.#answeredMs = nowMs;
    return true;
  }
}

async function measureLag(job: LagJob): Promise<LagResult> {
  const values = makeValues(job.valueBytes);
  const next = numbers(job.keys);
  const lags: number[] = [];
  const idle: { from: Wire; to: Wire }[] = [];
  let unseen = 0;
  const probe = async (number: number): Promise<void> => {
    const pair = idle.pop() ?? { from: new Wire(job.from), to: new Wire(job.to) };
    const target = `${job.path}${job.keys.prefix}${number}`;
    const read = requestBytes('GET', target, job.headers);
    const written = await pair.from.ask(requestBytes('PUT', target, job.headers, values[number % VALUES]));
    const acknowledgedMs = performance.now();
    const tag = written === undefined ? undefined : fieldOf(written.head, 'etag');
    for (;;) {
      const seen = tag === undefined ? undefined : await pair.to.ask(read);
      const lagMs = performance.now() - acknowledgedMs;
      if (seen !== undefined && fieldOf(seen.head, 'etag') === tag) lags.push(lagMs);
      else if (tag !== undefined && lagMs < UNSEEN_MS) continue;
      else unseen++;
      break;
    }
    idle.push(pair);
  };
  const startedMs = performance.now();
  const running = new Set<Promise<void>>();
  for (let sent = 0; sent < job.seconds * job.perSecond; sent++) {
    const waitMs = startedMs + (sent * 1_000) / job.perSecond - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const under: Promise<void> = probe(next() % job.keys.count).finally(() => running.delete(under));
    running.add(under);
  }
  await Promise.all(running);
  for (const { from, to } of idle) for (const wire of [from, to]) wire.close();
  lags.sort((a, b) => a - b);
  return { probes: lags.length, unseen, p50Ms: quantile(lags, 0.5), p99Ms: quantile(lags, 0.99), p999Ms: quantile(lags, 0.999), maxMs: lags.at(-1) ?? 0 };
}

process.on('message', ({ id, job }: { readonly id: number; readonly job: Job }) => {
  const result = job.type === 'load' ? new Load(job).run() : measureLag(job);
  result.then(
    (value) => process.send?.({ id, value }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
