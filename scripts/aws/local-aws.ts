// A deployment on the emulated AWS of this machine: the CDK's own command line makes the stacks from the templates that
// would go to an account, and what they make is what answers.

import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { FUNCTIONS, names, type FunctionName } from '../../src/adapters/aws/names.ts';
import { nodeRandom, sha256 } from '../../src/adapters/node/crypto.ts';
import { newKey } from '../../src/auth/keys.ts';
import { parseRegions } from '../../src/config/options.ts';
import { toHex } from '../../src/core/bytes.ts';
import { asRegionId } from '../../src/core/version/dot.ts';
import { clusterFilePath, type ClusterFile } from '../../src/local/cluster-file.ts';
import { readOrMake, writePrivate } from '../../src/local/files.ts';
import { root } from '../lib/cluster.ts';
import { Deployed } from '../lib/deployed.ts';
import { ask, until } from '../lib/http.ts';
import { run, type Environment } from '../lib/run.ts';
import { synth } from '../lib/synth.ts';
import { Controls } from './controls.ts';
import { deployedDistribution, startDoor, startFront, type Links } from './front.ts';
import { ACCOUNT, environmentFor, installMiniStack, MiniStack } from './ministack.ts';
import { changeTemplate, readTemplate, resolveWeakReferences, withEmulatorsRights, withPlainAlarms, writeTemplate } from './templates.ts';

export const DEPLOYMENT = 'archipel';
export const RIGHTS_LOG = 'rights.log';
const EDGE_STACK = `${DEPLOYMENT}-edge`;
const EDGE_REGION = 'us-east-1';
const CDK = join(root, 'node_modules/aws-cdk/bin/cdk');

/** Functions start cold, one environment after the other. */
const READY_MS = 120_000;

export interface LocalAwsOptions {
  readonly regions: string;
  /** Of the front; the regions' doors take the ports after it. */
  readonly port: number;
  readonly emulatorPort: number;
  /** Templates, logs, keys and cluster.json. */
  readonly folder: string;
  /** Roles have the rights that their policies give them, and no others; which they use is noted in `rights.log`. */
  readonly enforcesRights?: boolean;
  /** Told of each step when it is done, with its seconds. */
  readonly say: (step: string, seconds: number) => void;
}

type Outputs = Readonly<Record<string, Readonly<Record<string, string>>>>;

export class LocalAws extends Deployed {
  readonly emulator: MiniStack;
  readonly key: string;
  readonly #options: LocalAwsOptions;
  readonly #environment: Environment;
  #controls: Controls;
  #regions: readonly string[];
  #hosts: ReadonlyMap<string, string> = new Map();
  #servers: Server[] = [];
  #isMade = false;
  readonly #links: Links = { areHostile: false };

  private constructor(options: LocalAwsOptions, emulator: MiniStack) {
    super();
    this.#regions = parseRegions(options.regions);
    this.#options = options;
    this.emulator = emulator;
    this.#environment = environmentFor(emulator.url);
    this.#controls = new Controls(DEPLOYMENT, emulator.url, this.#regions);
    this.key = readOrMake(join(options.folder, 'admin.key'), () => newKey(nodeRandom, sha256, 'admin').key).content;
  }

  static async start(options: LocalAwsOptions): Promise<LocalAws> {
    const { folder, emulatorPort, say } = options;
    mkdirSync(folder, { recursive: true });
    await timed(say, 'the emulator is installed', installMiniStack);
    const emulator = await timed(say, 'the emulator runs', () => MiniStack.start(emulatorPort, join(folder, 'emulator.log'), options.enforcesRights === true ? join(folder, RIGHTS_LOG) : undefined));
    const aws = new LocalAws(options, emulator);
    try {
      await aws.grow(options.regions);
      return aws;
    } catch (error) {
      await aws.stop();
      throw error;
    }
  }

  get regions(): readonly string[] {
    return this.#regions;
  }

  /** Of the front, as of CloudFront; or of a region, as of its function URL. */
  url(place: string): string {
    const { port } = this.#options;
    return `http://127.0.0.1:${place === 'edge' ? port : port + 1 + this.#regions.indexOf(place)}`;
  }

  /** Of its function URL, as the deployment says it. */
  hostOf(region: string): string {
    return this.#hosts.get(region) ?? '';
  }

  // Deploying -----------------------------------------------------------------------------------------------------------------

  get out(): string {
    return join(this.#options.folder, 'cdk.out');
  }

  /** The CDK's command line, on the templates in the folder. */
  #cdk(...args: readonly string[]): Promise<string> {
    return run(process.execPath, [CDK, '--app', this.out, '--no-notices', '--ci', ...args], { ...this.#environment, CDK_DISABLE_CLI_TELEMETRY: 'true' });
  }

  /** The deployment in these regions, made or updated: their stacks, then the edge's, then the doors on this machine. */
  async grow(regions: string): Promise<void> {
    const { say, enforcesRights = false } = this.#options;
    this.#regions = parseRegions(regions);
    this.#controls.end();
    this.#controls = new Controls(DEPLOYMENT, this.emulator.url, this.#regions);
    await timed(say, 'templates and bundles are made', () => synth({ regions }, this.out, enforcesRights ? 'scripts/aws/app.ts' : 'cdk/app.ts'));
    for (const id of this.#regions) {
      changeTemplate(this.out, `${DEPLOYMENT}-${id}`, (template) => {
        withPlainAlarms(template);
        if (enforcesRights) withEmulatorsRights(template);
      });
    }
    const places = [...new Set([...this.#regions, EDGE_REGION])].map((id) => `aws://${ACCOUNT}/${id}`);
    await timed(say, 'cdk bootstrap', () => this.#cdk('bootstrap', ...places));
    // By name, in each region, before the first request: no template holds them.
    await this.#controls.putSecrets(readOrMake(join(this.#options.folder, 'secret'), () => toHex(nodeRandom.bytes(32))).content, this.key);
    const outputs = await this.deploy(this.#regions);
    const edge = readTemplate(this.out, EDGE_STACK);
    writeTemplate(this.out, EDGE_STACK, resolveWeakReferences(edge, ({ StackName, OutputName }) => outputs[StackName]?.[OutputName] ?? ''));
    await timed(say, `cdk deploy ${EDGE_STACK}`, () => this.#cdk('deploy', EDGE_STACK, '--exclusively', '--require-approval', 'never'));
    this.#hosts = new Map(this.#regions.map((id) => [id, outputs[`${DEPLOYMENT}-${id}`]?.['Host'] ?? '']));
    await this.#openDoors();
    await timed(say, 'every region answers', () => (this.#isMade ? this.#ready() : this.#warm()));
    this.#isMade = true;
    this.#writeClusterFile();
  }

  /** The stacks of these regions, all at a time. Answers what they say of themselves. */
  async deploy(regions: readonly string[]): Promise<Outputs> {
    const stacks = regions.map((id) => `${DEPLOYMENT}-${id}`);
    const file = join(this.#options.folder, 'outputs.json');
    await timed(this.#options.say, `cdk deploy ${stacks.join(' ')}`, () => this.#cdk('deploy', ...stacks, '--require-approval', 'never', '--concurrency', String(stacks.length), '--outputs-file', file));
    return JSON.parse(readFileSync(file, 'utf8')) as Outputs;
  }

  /** Answers the stacks that are left. */
  async destroy(): Promise<readonly string[]> {
    await timed(this.#options.say, 'cdk destroy', () => this.#cdk('destroy', '--all', '--force'));
    return (await this.#controls.stacks()).filter((name) => name.startsWith(`${DEPLOYMENT}-`));
  }

  async #openDoors(): Promise<void> {
    this.#closeDoors();
    for (const [region, host] of this.#hosts) this.#servers.push(await startDoor(Number(new URL(this.url(region)).port), this.emulator.url, { host, links: this.#links }));
    const doors = new Map([...this.#hosts].map(([region, host]) => [host, this.url(region)]));
    this.#servers.push(await startFront(this.#options.port, { emulatorUrl: this.emulator.url, distribution: await deployedDistribution(this.emulator.url), doors }));
  }

  /** A region that came later does not hold what the others hold: joining is not built on AWS. */
  async #ready(): Promise<void> {
    const isReady = async (place: string): Promise<boolean> => (await ask(this.url(place), '/readyz', { timeoutMs: 30_000 }).catch(() => undefined))?.status === 200;
    await until('every region is ready', async () => (await Promise.all([...this.#regions, 'edge'].map(isReady))).every(Boolean), READY_MS);
  }

  /** Until the collection that the first steps use is known everywhere: then every function has run. */
  async #warm(): Promise<void> {
    const headers = { authorization: `Bearer ${this.key}`, 'content-type': 'application/json' };
    const isActive = async (place: string, method: string): Promise<boolean> => {
      const body = method === 'PUT' ? { body: '{"conflict":"lww"}' } : {};
      const answer = await ask(this.url(place), '/v1/c/demo', { method, headers, ...body, timeoutMs: 30_000 }).catch(() => undefined);
      return answer !== undefined && answer.status < 300 && answer.json<{ state?: string }>().state === 'active';
    };
    await until('the collection demo is made', () => isActive(this.#regions[0] as string, 'PUT'), READY_MS);
    await until('the collection demo is known in every region', async () => (await Promise.all(this.#regions.map((id) => isActive(id, 'GET')))).every(Boolean), READY_MS);
    await until('the front answers', () => isActive('edge', 'GET'), READY_MS);
  }

  /** So that the command line finds it: `npx archipel … --data <folder>`. */
  #writeClusterFile(): void {
    const file: ClusterFile = {
      edge: { url: this.url('edge'), pid: process.pid },
      regions: parseRegions(this.#regions.join(',')).map((id) => ({ id, url: this.url(id), pid: this.emulator.pid, data: '' })),
      adminKey: this.key,
    };
    writePrivate(clusterFilePath(this.#options.folder), `${JSON.stringify(file)}\n`);
  }

  // Faults ----------------------------------------------------------------------------------------------------------------

  /** Nothing that lies in an inbox is delivered. */
  async cut(): Promise<void> {
    await Promise.all(this.#regions.map((id) => this.#controls.setMappings('apply', id, false)));
  }

  async heal(): Promise<void> {
    await Promise.all(this.#regions.map((id) => this.#controls.setMappings('apply', id, true)));
  }

  /** Each request to a region is passed on twice, and many answers are lost. */
  setHostile(areHostile: boolean): void {
    this.#links.areHostile = areHostile;
  }

  /** Nothing that lies in one region's inbox, or its stream, is delivered. */
  async setDelivery(region: string, isOn: boolean): Promise<void> {
    await Promise.all((['apply', 'fan-out', 'forward'] as const).map((what) => this.#controls.setMappings(what, region, isOn)));
  }

  /** In the middle of what they do. Answers how many ran. */
  killWorkers(what: FunctionName, region: string): number {
    return this.emulator.killWorkers(names.function(DEPLOYMENT, what, asRegionId(region)));
  }

  /** As if the account's concurrency were used up there. */
  async setFunctions(region: string, answer: boolean): Promise<void> {
    await this.#controls.setFunctions(region, answer);
  }

  /** In the middle of what they do: every process that runs a function of the region. */
  killAll(region: string): void {
    this.emulator.killWorkers(...FUNCTIONS.map((what) => names.function(DEPLOYMENT, what, asRegionId(region))));
  }

  /** Told to the region's functions besides what their stack tells them, until others are. */
  setVariables(region: string, variables: Readonly<Record<string, string>>): Promise<void> {
    return this.#controls.setVariables(region, variables);
  }

  functionOf(what: FunctionName, region: string): Promise<{ readonly MemorySize?: number | undefined }> {
    return this.#controls.functionOf(what, region);
  }

  alarms(region: string): Promise<readonly string[]> {
    return this.#controls.alarms(region);
  }

  invoke(what: FunctionName, region: string, event: unknown): Promise<unknown> {
    return this.#controls.invoke(what, region, event);
  }

  inboxDepth(region: string): Promise<number> {
    return this.#controls.inboxDepth(region);
  }

  /** Messages of hints that wait in it. */
  hints(region: string): Promise<number> {
    return this.#controls.hintsDepth(region);
  }

  /** Its inbox and its hints are given what is no message. */
  poison(region: string): Promise<void> {
    return this.#controls.poison(region);
  }

  /** A write of the peer lies among the region's dead letters, though nothing is wrong with it. */
  bury(region: string, peer: string): Promise<void> {
    return this.#controls.bury(region, peer);
  }

  /** Replication with every peer is paused on this region's side, as an operator does it: what is written is hinted. */
  async setHintsOnly(region: string, only: boolean): Promise<void> {
    for (const peer of this.#regions.filter((id) => id !== region)) await this.ask(region, `/v1/replication/${peer}/${only ? 'pause' : 'resume'}`, { method: 'POST' });
  }

  /** What lies in it is lost. */
  purgeInbox(region: string): Promise<void> {
    return this.#controls.purgeInbox(region);
  }

  /** What lies in any inbox or queue of hints is lost. */
  purgeBetween(): Promise<void> {
    return this.#controls.purgeBetween();
  }

  /** No inbox and no queue of hints holds anything. What the streams still hold cannot be seen. */
  quiet(timeoutMs = 60_000): Promise<number> {
    return until('the queues between the regions are empty', async () => (await this.#controls.waiting()) === 0, timeoutMs, 100);
  }

  // Ending ----------------------------------------------------------------------------------------------------------------

  #closeDoors(): void {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
    this.#servers = [];
  }

  async stop(): Promise<void> {
    rmSync(clusterFilePath(this.#options.folder), { force: true });
    this.#closeDoors();
    this.#controls.end();
    await this.emulator.stop();
  }
}

export async function timed<T>(say: LocalAwsOptions['say'], step: string, work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const done = await work();
  say(step, (performance.now() - startedMs) / 1_000);
  return done;
}
