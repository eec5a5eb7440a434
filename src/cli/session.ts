// How a command finds its cluster: by --url, by the cluster.json of a data folder, or by the environment; and how it
// reaches a certain region: at its own address where that is known, else through the edge.

import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Client } from '../client/client.ts';
import { connect, patientClock } from '../client/node.ts';
import { isNewerVersion } from '../core/placement/topology.ts';
import { pause } from '../ports/clock.ts';
import type { Attempt } from '../client/exchange.ts';
import type { Topology } from '../client/types.ts';
import { parseDuration } from '../config/options.ts';
import { ArchipelError, isArchipelError } from '../core/errors.ts';
import { readClusterFile } from '../local/cluster-file.ts';
import { readText } from '../local/files.ts';
import { EXIT, tell } from './exit.ts';
import { parseJsonExactly } from './json.ts';
import { Progress, styleFor, type Style } from './output.ts';
import type { Terminal } from './terminal.ts';

export interface ConnectionFlags {
  readonly url?: string;
  readonly key?: string;
  readonly data?: string;
  readonly region?: string;
  readonly ca?: string;
  readonly timeout?: string;
  readonly hedge?: string;
  readonly json?: boolean;
}

export const DATA_DEFAULT = '.archipel';

/** A person is told that a command waits from this attempt on. */
const TOLD_AFTER = 3;
const FALL_BACK_MS = 2_000;

/** The options that every command which speaks to a cluster has. */
export function withConnection(command: Command, { region = true }: { readonly region?: boolean } = {}): Command {
  command
    .optionsGroup('Which cluster:')
    .option('--url <url>', 'an edge or a region, or several with commas, asked in this order where one does not answer (or the variable ARCHIPEL_URL)')
    .option('--key <key>', 'the bearer key (or the variable ARCHIPEL_KEY; with --data the admin key)')
    .option('--data <dir>', `the data folder of a cluster on this machine (default: ${DATA_DEFAULT})`);
  if (region) command.option('--region <id>', 'ask this region, not the nearest');
  return command
    .option('--ca <file>', 'trust this certificate (PEM)')
    .option('--timeout <time>', 'give up after this long, retries included', '15s')
    .option('--hedge <time>', 'with several addresses: a read that is not answered for so long is asked of another one too')
    .option('--json', 'print JSON');
}

interface Target {
  readonly url: string;
  /** Of the same cluster, for when that one does not answer. */
  readonly others: readonly string[];
  readonly key: string | undefined;
  readonly ca: string | undefined;
  /** What a cluster file knows. */
  readonly regions: ReadonlyMap<string, string>;
}

export function targetOf(flags: ConnectionFlags, env: Terminal['env']): Target {
  const envUrl = env['ARCHIPEL_URL'] || undefined;
  const envKey = env['ARCHIPEL_KEY'] || undefined;
  if (flags.url !== undefined && flags.data !== undefined) throw new ArchipelError('bad-request', '--url and --data are two ways to say the same: give one of them.');
  const url = flags.url ?? (flags.data === undefined ? envUrl : undefined);
  if (url !== undefined) return { ...checkedUrls(url), key: flags.key ?? envKey, ca: flags.ca === undefined ? undefined : readText(flags.ca), regions: new Map() };
  const file = readClusterFile(resolve(flags.data ?? DATA_DEFAULT));
  const ca = flags.ca ?? file.tlsCert;
  // A key in the environment belongs to the address there, if there is one.
  const key = flags.key ?? (envUrl === undefined ? envKey : undefined) ?? file.adminKey;
  return { url: file.edge.url, others: [], key, ca: ca === undefined ? undefined : readText(ca), regions: new Map(file.regions.map((region) => [region.id, region.url])) };
}

function checkedUrls(text: string): Pick<Target, 'url' | 'others'> {
  const [url = '', ...others] = text.split(',').map((each) => checkedUrl(each.trim()));
  return { url, others };
}

export function checkedUrl(text: string, option = '--url'): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isBare = url !== undefined && /^https?:$/.test(url.protocol) && url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' && url.password === '';
  if (!isBare) throw new ArchipelError('bad-request', `${option} is like http://127.0.0.1:7400, not ${JSON.stringify(text)}.`);
  return url.origin;
}

export class Session {
  readonly terminal: Terminal;
  readonly isJson: boolean;
  readonly style: Style;
  readonly timeoutMs: number;
  readonly #target: Target;
  readonly #hedgeMs: number | undefined;
  readonly #clients = new Map<string, Client>();
  readonly #flags: ConnectionFlags;
  readonly #waiting: Progress;
  #topology: Promise<Topology> | undefined;

  constructor(terminal: Terminal, flags: ConnectionFlags) {
    this.terminal = terminal;
    this.isJson = flags.json === true;
    this.style = styleFor(terminal.out);
    this.timeoutMs = parseDuration('--timeout', flags.timeout ?? '15s');
    this.#hedgeMs = flags.hedge === undefined ? undefined : parseDuration('--hedge', flags.hedge);
    this.#flags = flags;
    this.#waiting = this.progress();
    this.#target = targetOf(flags, terminal.env);
  }

  /** The key that is sent, for showing commands that a person can repeat. */
  get hasKey(): boolean {
    return this.#target.key !== undefined;
  }

  /** The edge, or what --url names. */
  get front(): Client {
    return this.#client(this.#target.url, this.#target.others);
  }

  /** One address alone, or with others that may answer in its place: those are two clients. */
  #client(url: string, others: readonly string[] = []): Client {
    const { key, ca } = this.#target;
    const name = [url, ...others].join();
    const known = this.#clients.get(name);
    if (known !== undefined) return known;
    const client = connect({ url, others, key, ca, timeoutMs: this.timeoutMs, hedgeMs: this.#hedgeMs, parseJson: parseJsonExactly, onAttempt: (attempt) => this.#tellOfWaiting(attempt) });
    this.#clients.set(name, client);
    return client;
  }

  #tellOfWaiting({ again, url, attempt }: Attempt): void {
    if (again === undefined) this.#waiting.clear();
    else if (attempt >= TOLD_AFTER) this.#waiting.show(`${url}: ${again}. Trying again …`.replace('..', '.'));
  }

  /** For one item: at the region that --region names, or at the front. */
  async forItems(): Promise<Client> {
    return this.#flags.region === undefined ? this.front : this.#straight(this.#flags.region);
  }

  /** For everything else; there an edge can be told the region. */
  async forRoutes(): Promise<Client> {
    return this.#flags.region === undefined ? this.front : this.at(this.#flags.region);
  }

  /** A certain region, at its own address where that is known, else through the front by the field `Region`. */
  async at(region: string): Promise<Client> {
    const url = await this.#urlOf(region);
    return url === undefined ? this.front.with({ region }) : this.#client(url);
  }

  async #straight(region: string): Promise<Client> {
    const url = await this.#urlOf(region);
    if (url === undefined) throw new ArchipelError('bad-request', `The address of ${region} is not known, and an edge routes items by their key: give the region's own --url.`);
    return this.#client(url);
  }

  /** @throws ArchipelError `bad-request` for a region that the cluster does not have */
  async #urlOf(region: string): Promise<string | undefined> {
    const known = this.#target.regions.get(region);
    if (known !== undefined) return known;
    const { regions } = await this.topology();
    const entry = regions.find(({ id }) => id === region);
    if (entry === undefined) throw new ArchipelError('bad-request', `There is no region ${JSON.stringify(region)} in this cluster; there are ${regions.map(({ id }) => id).join(', ')}.`);
    return entry.url;
  }

  topology(): Promise<Topology> {
    return (this.#topology ??= this.#askTopology());
  }

  /** Asks for it once more. What was known stands where nobody answers. */
  async renewTopology(): Promise<void> {
    const known = await this.topology();
    const answered = new AbortController();
    const shown = await Promise.race([this.#askTopology(FALL_BACK_MS).catch(() => undefined), pause(patientClock, FALL_BACK_MS, answered.signal).then(() => undefined)]);
    answered.abort();
    if (shown !== undefined && isNewerVersion(shown, known)) this.#topology = Promise.resolve(shown);
  }

  /** Any region knows it: one of those that the cluster file names, when the edge is gone. */
  async #askTopology(timeoutMs?: number): Promise<Topology> {
    const others = [...this.#target.regions.values()];
    try {
      const mostMs = timeoutMs ?? (others.length === 0 ? undefined : FALL_BACK_MS);
      return await this.front.topology(mostMs === undefined ? {} : { timeoutMs: mostMs });
    } catch (error) {
      if (!isArchipelError(error, 'no-region-available')) throw error;
      for (const url of others) {
        const topology = await this.#client(url).topology({ timeoutMs: FALL_BACK_MS }).catch(() => undefined);
        if (topology !== undefined) return topology;
      }
      throw error;
    }
  }

  /** Of all regions, or the one of --region. */
  async regionIds(): Promise<readonly string[]> {
    if (this.#flags.region !== undefined) return [this.#flags.region];
    return this.#target.regions.size > 0 ? [...this.#target.regions.keys()] : (await this.topology()).regions.map(({ id }) => id);
  }

  progress(): Progress {
    return new Progress(this.terminal.err);
  }

  async line(text = ''): Promise<void> {
    await this.terminal.out.write(`${text}\n`);
  }

  async json(content: unknown): Promise<void> {
    await this.terminal.out.write(`${JSON.stringify(content)}\n`);
  }

  /** A remark that does not belong to the result. */
  note(text: string): void {
    if (!this.isJson) void this.terminal.err.write(`${text}\n`);
  }

  close(): void {
    this.#waiting.clear();
    for (const client of this.#clients.values()) client.close();
  }
}

/** Runs a command: connects, does the work, tells what went wrong. The work may answer an exit code other than 0. */
export async function withSession(terminal: Terminal, flags: ConnectionFlags, work: (session: Session) => Promise<number | void>): Promise<void> {
  let session: Session | undefined;
  try {
    session = new Session(terminal, flags);
    const code = await work(session);
    terminal.exitCode = typeof code === 'number' ? code : EXIT.done;
  } catch (error) {
    tell(terminal, error, flags.json === true);
  } finally {
    session?.close();
  }
}
