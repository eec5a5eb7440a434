// A drill against a cluster that runs somewhere: its clients, what an operator decides and all that is looked at go over HTTP.
// What HTTP cannot do (kill a process, cut a link) is done by a command that the person who runs the drill gives, or the drill is refused.

import { spawn } from 'node:child_process';
import type { Client } from '../client/client.ts';
import type { Certificate } from '../client/types.ts';
import { connect, patientClock } from '../client/node.ts';
import { ArchipelError } from '../core/errors.ts';
import { TOPOLOGY_VERBS, type TopologyVerb } from '../core/placement/topology-change.ts';
import { pause } from '../ports/clock.ts';
import type { View } from './account.ts';
import { describeAction, ROLES, type Action, type Drill, type PlaceAction, type Role } from './drill.ts';
import { comparison, decide, isQuietAt, keptAt, owedBy, readView } from './operator.ts';
import type { DrillPlace, Kept } from './place.ts';

const OPERATOR_MS = 15_000;
const ASK_EVERY_MS = 100;
const BACK_MS = 120_000;

export interface Given {
  readonly edge: string;
  /** In the order of the roles. */
  readonly regions: readonly string[];
  readonly key?: string | undefined;
  readonly ca?: string | undefined;
  /** What does a step that HTTP cannot do: a command for the shell, with `{verb}`, `{region}`, `{to}` and `{ms}`. */
  readonly command?: string | undefined;
}

const isDecision = (action: Action): action is Action & { readonly verb: TopologyVerb; readonly region: Role } => (TOPOLOGY_VERBS as readonly string[]).includes(action.verb);

/** Why a drill cannot run there, before anything is done; undefined: it can. */
export function refusalOf(drill: Drill, { regions, command }: Pick<Given, 'regions' | 'command'>): string | undefined {
  if (regions.length !== drill.regions) return `${drill.name} is for ${drill.regions} regions: --on takes the address of the edge, and those of ${drill.regions} regions behind it.`;
  if (drill.horizonMs !== undefined || drill.hints !== undefined) return `${drill.name} says how regions are started (horizon, hints), and those at given addresses run already: run it on local or sim.`;
  const step = drill.steps.find(({ action }) => action.verb !== 'rate' && !isDecision(action));
  if (step === undefined || command !== undefined) return undefined;
  return `HTTP cannot do a step of ${drill.name} (${describeAction(step.action, (role) => `the ${role} region`)}): give --do a command that does it.`;
}

export class GivenPlace implements DrillPlace {
  readonly name = 'given';
  readonly regions: readonly string[];
  readonly #given: Given;
  readonly #operators: readonly Client[];
  readonly #clients: Client[] = [];

  private constructor(given: Given, operators: readonly Client[], regions: readonly string[]) {
    this.#given = given;
    this.#operators = operators;
    this.regions = regions;
  }

  /** @throws ArchipelError where an address does not answer, or two are of one region */
  static async find(given: Given): Promise<GivenPlace> {
    const operators = given.regions.map((url) => connect({ url, key: given.key, ca: given.ca, timeoutMs: OPERATOR_MS }));
    try {
      const regions = await Promise.all(operators.map(async (operator) => (await operator.replication()).region));
      if (new Set(regions).size < regions.length) throw new ArchipelError('bad-request', `--on takes the edge first, then each region once; these are ${regions.join(', ')}.`);
      return new GivenPlace(given, operators, regions);
    } catch (error) {
      for (const operator of operators) operator.close();
      throw error;
    }
  }

  #operator(role: Role): Client {
    return this.#operators[ROLES.indexOf(role)] as Client;
  }

  #region(role: Role): string {
    return this.regions[ROLES.indexOf(role)] as string;
  }

  readonly #wait = (): Promise<void> => pause(patientClock, ASK_EVERY_MS);

  // Steps -------------------------------------------------------------------------------------------------------------------

  async do(action: PlaceAction): Promise<void> {
    if (isDecision(action)) return decide(this.#operator(action.region === 'first' ? 'second' : 'first'), this.#region(action.region), action.verb, this.#wait);
    await this.#run(action);
    if (action.verb === 'start') await this.#back(this.#operator(action.region));
  }

  #run(action: PlaceAction): Promise<void> {
    const region = 'region' in action ? this.#region(action.region) : 'from' in action ? this.#region(action.from) : '';
    const words: Readonly<Record<string, string>> = { verb: action.verb, region, to: 'to' in action ? this.#region(action.to) : '', ms: 'byMs' in action ? String(action.byMs) : '' };
    const line = (this.#given.command ?? 'false').replaceAll(/\{(verb|region|to|ms)\}/g, (_, word: string) => words[word] ?? '');
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => reject(new ArchipelError('internal', `The command of --do did not do ${JSON.stringify(line)}: ${why}.`));
      const child = spawn('sh', ['-c', line], { stdio: ['ignore', 'ignore', 'inherit'] });
      child.once('error', ({ message }) => fail(message));
      child.once('exit', (code, signal) => (code === 0 ? resolve() : fail(code === null ? `it was ended by ${signal}` : `it ended with ${code}`)));
    });
  }

  async #back(operator: Client): Promise<void> {
    const untilMs = patientClock.monotonicMs() + BACK_MS;
    for (;;) {
      const why = await operator.replication({ timeoutMs: 1_000 }).then(() => undefined, String);
      if (why === undefined) return;
      if (patientClock.monotonicMs() > untilMs) throw new ArchipelError('internal', `${operator.url} is not back after ${BACK_MS / 1_000} s: ${why}`);
      await this.#wait();
    }
  }

  /** What was taken away is brought back by steps: this waits for all of them. */
  async healAll(): Promise<void> {
    await Promise.all(this.#operators.map((operator) => this.#back(operator)));
  }

  // Looking -----------------------------------------------------------------------------------------------------------------

  client(at: 'edge' | Role, others: readonly Role[] = []): Client {
    const { edge, regions, key, ca } = this.#given;
    const urlOf = (role: Role): string => regions[ROLES.indexOf(role)] as string;
    const client = connect({ url: at === 'edge' ? edge : urlOf(at), others: others.map(urlOf), key, ca, keysIn: 'path' });
    this.#clients.push(client);
    return client;
  }

  /** The command of the steps decides what is done to which links. */
  clientBesideEdge(role: Role): Client {
    return this.client(role);
  }

  owed(role: Role): Promise<ReadonlyMap<string, number>> {
    return owedBy(this.#operator(role));
  }

  kept(role: Role): Promise<Kept> {
    return keptAt(this.#operator(role));
  }

  certificates(role: Role): Promise<readonly Certificate[]> {
    return this.#operator(role).certificates();
  }

  view(role: Role, collection: string): Promise<View> {
    return readView(this.#operator(role), this.#region(role), collection);
  }

  isQuiet(): Promise<boolean> {
    return isQuietAt(this.#operators);
  }

  reconcile(): Promise<string | undefined> {
    return comparison(this.#operators, this.#wait);
  }

  async end(): Promise<void> {
    for (const client of [...this.#clients, ...this.#operators]) client.close();
  }
}
