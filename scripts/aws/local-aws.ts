// A deployment on the emulated AWS of this machine: the CDK's own command line makes the stacks from the templates that
// would go to an account, and what they make is what answers.

import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { names } from '../../src/adapters/aws/names.ts';
import { nodeRandom, sha256 } from '../../src/adapters/node/crypto.ts';
import { newKey } from '../../src/auth/keys.ts';
import { parseRegions } from '../../src/config/options.ts';
import { toHex } from '../../src/core/bytes.ts';
import { clusterFilePath, type ClusterFile } from '../../src/local/cluster-file.ts';
import { readOrMake, writePrivate } from '../../src/local/files.ts';
import { ask, root, until } from '../lib/cluster.ts';
import { run, type Environment } from '../lib/run.ts';
import { synth } from '../lib/synth.ts';
import { deployedDistribution, startDoor, startFront } from './front.ts';
import { ACCOUNT, environmentFor, installMiniStack, MiniStack } from './ministack.ts';
import { resolveWeakReferences } from './weak-references.ts';

export const DEPLOYMENT = 'archipel';
const EDGE_STACK = `${DEPLOYMENT}-edge`;
const EDGE_REGION = 'us-east-1';
const CDK = join(root, 'node_modules/aws-cdk/bin/cdk');

/** Functions start cold, one environment after the other. */
const READY_MS = 120_000;

export interface LocalAwsOptions {
  readonly regions: string;
  /** Of the front; the regions' doors take the ports after it, the emulator the last. */
  readonly port: number;
  /** Templates, logs and cluster.json. */
  readonly folder: string;
  /** Told of each step when it is done, with its seconds. */
  readonly say: (step: string, seconds: number) => void;
}

export class LocalAws {
  readonly regions: readonly string[];
  readonly emulator: MiniStack;
  readonly adminKey: string;
  readonly #options: LocalAwsOptions;
  readonly #environment: Environment;
  readonly #servers: Server[] = [];

  private constructor(options: LocalAwsOptions, emulator: MiniStack) {
    this.regions = parseRegions(options.regions);
    this.#options = options;
    this.emulator = emulator;
    this.#environment = environmentFor(emulator.url);
    this.adminKey = readOrMake(join(options.folder, 'admin.key'), () => newKey(nodeRandom, sha256, 'admin').key).content;
  }

  static async start(options: LocalAwsOptions): Promise<LocalAws> {
    const { folder, port, say, regions } = options;
    const count = parseRegions(regions).length;
    mkdirSync(folder, { recursive: true });
    await timed(say, 'the emulator is installed', installMiniStack);
    const emulator = await timed(say, 'the emulator runs', () => MiniStack.start(port + 1 + count, join(folder, 'emulator.log')));
    const aws = new LocalAws(options, emulator);
    try {
      await aws.#deployAll();
      return aws;
    } catch (error) {
      await aws.stop();
      throw error;
    }
  }

  /** Of the front, as of CloudFront; or of a region, as of its function URL. */
  url(place: string): string {
    const { port } = this.#options;
    return `http://127.0.0.1:${place === 'edge' ? port : port + 1 + this.regions.indexOf(place)}`;
  }

  get #out(): string {
    return join(this.#options.folder, 'cdk.out');
  }

  /** The CDK's command line, on the templates in the folder. */
  cdk(...args: readonly string[]): Promise<string> {
    return run(process.execPath, [CDK, '--app', this.#out, '--no-notices', '--ci', ...args], { ...this.#environment, CDK_DISABLE_CLI_TELEMETRY: 'true' });
  }

  async #deployAll(): Promise<void> {
    const { say, regions } = this.#options;
    const stacks = this.regions.map((id) => `${DEPLOYMENT}-${id}`);
    await timed(say, 'templates and bundles are made', () => synth({ regions, out: this.#out }));
    const places = [...new Set([...this.regions, EDGE_REGION])].map((id) => `aws://${ACCOUNT}/${id}`);
    await timed(say, 'cdk bootstrap', () => this.cdk('bootstrap', ...places));
    await this.#putSecrets();
    const outputs = join(this.#options.folder, 'outputs.json');
    await timed(say, `cdk deploy ${stacks.join(' ')}`, () => this.cdk('deploy', ...stacks, '--require-approval', 'never', '--concurrency', String(stacks.length), '--outputs-file', outputs));
    const values = JSON.parse(readFileSync(outputs, 'utf8')) as Readonly<Record<string, Readonly<Record<string, string>>>>;
    await resolveWeakReferences(this.#out, EDGE_STACK, async ({ StackName, OutputName }) => values[StackName]?.[OutputName] ?? '');
    await timed(say, `cdk deploy ${EDGE_STACK}`, () => this.cdk('deploy', EDGE_STACK, '--exclusively', '--require-approval', 'never'));
    await this.#openDoors(new Map(this.regions.map((id) => [id, values[`${DEPLOYMENT}-${id}`]?.['Host'] ?? ''])));
    await timed(say, 'every region answers', () => this.#warm());
    this.#writeClusterFile();
  }

  /** By name, in each region, before the first request: no template holds them. */
  async #putSecrets(): Promise<void> {
    const secret = readOrMake(join(this.#options.folder, 'secret'), () => toHex(nodeRandom.bytes(32))).content;
    for (const region of this.regions) {
      const client = new SSMClient({ endpoint: this.emulator.url, region, credentials: { accessKeyId: ACCOUNT, secretAccessKey: 'test' } });
      for (const [Name, Value] of [[names.secret(DEPLOYMENT), secret] as const, [names.adminKey(DEPLOYMENT), this.adminKey] as const]) {
        await client.send(new PutParameterCommand({ Name, Value, Type: 'SecureString', Overwrite: true }));
      }
      client.destroy();
    }
  }

  async #openDoors(hosts: ReadonlyMap<string, string>): Promise<void> {
    const { port } = this.#options;
    const doors = new Map<string, string>();
    for (const [region, host] of hosts) {
      doors.set(host, this.url(region));
      this.#servers.push(await startDoor(Number(new URL(this.url(region)).port), this.emulator.url, host));
    }
    this.#servers.push(await startFront(port, { emulatorUrl: this.emulator.url, distribution: await deployedDistribution(this.emulator.url), doors }));
  }

  /** Until the collection that the first steps use is known everywhere: then every function has run. */
  async #warm(): Promise<void> {
    const headers = { authorization: `Bearer ${this.adminKey}`, 'content-type': 'application/json' };
    const isActive = async (place: string, method: string): Promise<boolean> => {
      const body = method === 'PUT' ? { body: '{"conflict":"lww"}' } : {};
      const answer = await ask(this.url(place), '/v1/c/demo', { method, headers, ...body, timeoutMs: 30_000 }).catch(() => undefined);
      return answer !== undefined && answer.status < 300 && answer.json<{ state?: string }>().state === 'active';
    };
    await until('the collection demo is made', () => isActive(this.regions[0] as string, 'PUT'), READY_MS);
    await until('the collection demo is known in every region', async () => (await Promise.all(this.regions.map((id) => isActive(id, 'GET')))).every(Boolean), READY_MS);
    await until('the front answers', () => isActive('edge', 'GET'), READY_MS);
  }

  /** So that the command line finds it: `npx archipel … --data <folder>`. */
  #writeClusterFile(): void {
    const file: ClusterFile = {
      edge: { url: this.url('edge'), pid: process.pid },
      regions: parseRegions(this.#options.regions).map((id) => ({ id, url: this.url(id), pid: this.emulator.pid, data: '' })),
      adminKey: this.adminKey,
    };
    writePrivate(clusterFilePath(this.#options.folder), `${JSON.stringify(file)}\n`);
  }

  async stop(): Promise<void> {
    rmSync(clusterFilePath(this.#options.folder), { force: true });
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
    await this.emulator.stop();
  }
}

export async function timed<T>(say: LocalAwsOptions['say'], step: string, work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const done = await work();
  say(step, (performance.now() - startedMs) / 1_000);
  return done;
}
