// What an operator of the emulated AWS can do to it, through AWS's own interfaces: secrets, mappings, functions, queues.

import { DeleteFunctionConcurrencyCommand, GetFunctionConfigurationCommand, InvokeCommand, LambdaClient, ListEventSourceMappingsCommand, PutFunctionConcurrencyCommand, UpdateEventSourceMappingCommand, UpdateFunctionConfigurationCommand } from '@aws-sdk/client-lambda';
import { GetQueueAttributesCommand, PurgeQueueCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { FUNCTIONS, names, type FunctionName } from '../../src/adapters/aws/names.ts';
import { SqsDeadLetters } from '../../src/adapters/aws/sqs-dead-letters.ts';
import { sha256 } from '../../src/adapters/node/crypto.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { itemKey } from '../../src/core/keys/item-key.ts';
import { groupOf } from '../../src/core/placement/placement.ts';
import { encodeState } from '../../src/core/version/codec.ts';
import { asRegionId, makeActor } from '../../src/core/version/dot.ts';
import { NO_OPERATIONS } from '../../src/core/version/operations.ts';
import { makeStamp } from '../../src/core/version/stamp.ts';
import { encodeRecords } from '../../src/engine/envelope.ts';
import { until } from '../lib/http.ts';
import { ACCOUNT, ROOT, signedFor } from './ministack.ts';

interface Clients {
  readonly lambda: LambdaClient;
  readonly sqs: SQSClient;
  readonly ssm: SSMClient;
}

export class Controls {
  readonly #deployment: string;
  readonly #url: string;
  readonly #clients: ReadonlyMap<string, Clients>;

  constructor(deployment: string, url: string, regions: readonly string[]) {
    this.#deployment = deployment;
    this.#url = url;
    const settings = (region: string): { region: string; endpoint: string; credentials: typeof ROOT } => ({ region, endpoint: url, credentials: ROOT });
    this.#clients = new Map(regions.map((id) => [id, { lambda: new LambdaClient(settings(id)), sqs: new SQSClient({ ...settings(id), useQueueUrlAsEndpoint: false }), ssm: new SSMClient(settings(id)) }]));
  }

  #of(region: string): Clients {
    const clients = this.#clients.get(region);
    if (clients === undefined) throw new TypeError(`${region} is no region of this deployment.`);
    return clients;
  }

  #name(what: FunctionName, region: string): string {
    return names.function(this.#deployment, what, asRegionId(region));
  }

  async putSecrets(secret: string, adminKey: string): Promise<void> {
    for (const { ssm } of this.#clients.values()) {
      for (const [Name, Value] of [[names.secret(this.#deployment), secret] as const, [names.adminKey(this.#deployment), adminKey] as const]) {
        await ssm.send(new PutParameterCommand({ Name, Value, Type: 'SecureString', Overwrite: true }));
      }
    }
  }

  /** Resolves when the mappings say that they are as they were told to be. */
  async setMappings(what: FunctionName, region: string, Enabled: boolean): Promise<void> {
    const { lambda } = this.#of(region);
    const FunctionName = this.#name(what, region);
    const mappings = async (): Promise<{ UUID?: string | undefined; State?: string | undefined }[]> => (await lambda.send(new ListEventSourceMappingsCommand({ FunctionName }))).EventSourceMappings ?? [];
    for (const { UUID } of await mappings()) await lambda.send(new UpdateEventSourceMappingCommand({ UUID, Enabled }));
    await until(`the mappings of ${FunctionName} follow`, async () => (await mappings()).every(({ State }) => State === (Enabled ? 'Enabled' : 'Disabled')));
  }

  async setFunctions(region: string, answer: boolean): Promise<void> {
    const { lambda } = this.#of(region);
    await Promise.all(FUNCTIONS.map((what) => {
      const FunctionName = this.#name(what, region);
      return answer ? lambda.send(new DeleteFunctionConcurrencyCommand({ FunctionName })) : lambda.send(new PutFunctionConcurrencyCommand({ FunctionName, ReservedConcurrentExecutions: 0 }));
    }));
  }

  /** What was told before besides what the stack tells is forgotten. */
  async setVariables(region: string, variables: Readonly<Record<string, string>>): Promise<void> {
    const { lambda } = this.#of(region);
    await Promise.all(FUNCTIONS.map(async (what) => {
      const FunctionName = this.#name(what, region);
      const { Environment: { Variables: known = {} } = {} } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
      const own = Object.fromEntries(Object.entries(known).filter(([name]) => !name.startsWith('AWS_ENDPOINT_URL_')));
      await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, Environment: { Variables: { ...own, ...variables } } }));
    }));
  }

  async functionOf(what: FunctionName, region: string): Promise<{ readonly MemorySize?: number | undefined }> {
    return this.#of(region).lambda.send(new GetFunctionConfigurationCommand({ FunctionName: this.#name(what, region) }));
  }

  /** @throws Error with what the function threw */
  async invoke(what: FunctionName, region: string, event: unknown): Promise<unknown> {
    const { Payload, FunctionError } = await this.#of(region).lambda.send(new InvokeCommand({ FunctionName: this.#name(what, region), Payload: JSON.stringify(event) }));
    const text = Buffer.from(Payload ?? []).toString();
    if (FunctionError !== undefined) throw new Error(`${what} in ${region} failed: ${text}`);
    return JSON.parse(text || 'null');
  }

  /** By region and name: every inbox, every queue of hints. */
  #queuesBetween(): (readonly [string, string])[] {
    const regions = [...this.#clients.keys()].map(asRegionId);
    return regions.flatMap((id) => [names.inbox(this.#deployment, id), ...regions.filter((peer) => peer !== id).map((peer) => names.hints(this.#deployment, id, peer))].map((name) => [id, name] as const));
  }

  /** Messages between the regions, on their way or held back. */
  async waiting(): Promise<number> {
    const counts = await Promise.all(this.#queuesBetween().map(([id, name]) => this.#count(id, name)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async #count(region: string, name: string): Promise<number> {
    const wanted = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible', 'ApproximateNumberOfMessagesDelayed'] as const;
    const { Attributes = {} } = await this.#of(region).sqs.send(new GetQueueAttributesCommand({ QueueUrl: `${this.#url}/${ACCOUNT}/${name}`, AttributeNames: [...wanted] }));
    return wanted.reduce((sum, attribute) => sum + Number(Attributes[attribute] ?? 0), 0);
  }

  async hintsDepth(region: string): Promise<number> {
    const depths = [...this.#clients.keys()].filter((peer) => peer !== region).map((peer) => this.#count(region, names.hints(this.#deployment, asRegionId(region), asRegionId(peer))));
    return (await Promise.all(depths)).reduce((sum, depth) => sum + depth, 0);
  }

  inboxDepth(region: string): Promise<number> {
    return this.#count(region, names.inbox(this.#deployment, asRegionId(region)));
  }

  /** A message that is none. */
  async poison(region: string): Promise<void> {
    await this.#of(region).sqs.send(new SendMessageCommand({ QueueUrl: this.#queueUrl(names.inbox(this.#deployment, asRegionId(region))), MessageBody: 'no message !' }));
    for (const peer of this.#clients.keys()) {
      if (peer !== region) await this.#of(region).sqs.send(new SendMessageCommand({ QueueUrl: this.#queueUrl(names.hints(this.#deployment, asRegionId(region), asRegionId(peer))), MessageBody: 'no hint !' }));
    }
  }

  async bury(region: string, peer: string): Promise<void> {
    const collection = 'demo';
    const pk = utf8('buried');
    const key = itemKey(groupOf({ regions: 'all', replicas: 3 }, sha256), { collection, pk, sk: new Uint8Array(0) }, sha256);
    const dot = { actor: makeActor(asRegionId(peer), 'buried'), stamp: makeStamp(Date.now()) };
    const value = { bytes: utf8('found'), contentType: 'text/plain', hash: sha256(utf8('found')).slice(0, 8) };
    const state = encodeState({ values: [{ dot, value }], context: new Map([[dot.actor, dot.stamp]]), operations: NO_OPERATIONS });
    const letters = new SqsDeadLetters({ client: this.#of(region).sqs, queueUrl: this.#queueUrl(names.dead(this.#deployment, asRegionId(region))), from: asRegionId(peer) });
    await letters.add([{ reason: 'buried by a test', atMs: Date.now(), body: encodeRecords([{ key: key.encoded, state }]) }]);
  }

  #queueUrl(name: string): string {
    return `${this.#url}/${ACCOUNT}/${name}`;
  }

  async purgeInbox(region: string): Promise<void> {
    await this.#purge(region, names.inbox(this.#deployment, asRegionId(region)));
  }

  async purgeBetween(): Promise<void> {
    await Promise.all(this.#queuesBetween().map(([id, name]) => this.#purge(id, name)));
  }

  async #purge(region: string, name: string): Promise<void> {
    await this.#of(region).sqs.send(new PurgeQueueCommand({ QueueUrl: this.#queueUrl(name) }));
  }

  /** Of every region, that have not been deleted. */
  async stacks(): Promise<string[]> {
    const inRegion = async (region: string): Promise<string[]> => {
      const answer = await fetch(this.#url, { method: 'POST', headers: { ...signedFor('cloudformation', region), 'content-type': 'application/x-www-form-urlencoded' }, body: 'Action=DescribeStacks&Version=2010-05-15' });
      return [...(await answer.text()).matchAll(/<StackName>([^<]+)<\/StackName>[\s\S]*?<StackStatus>([^<]+)<\/StackStatus>/g)].flatMap(([, name = '', status]) => (status === 'DELETE_COMPLETE' ? [] : [name]));
    };
    return (await Promise.all([...this.#clients.keys()].map(inRegion))).flat();
  }

  /** By name. */
  async alarms(region: string): Promise<string[]> {
    const answer = await fetch(this.#url, { method: 'POST', headers: { ...signedFor('monitoring', region), 'content-type': 'application/x-www-form-urlencoded' }, body: 'Action=DescribeAlarms&Version=2010-08-01' });
    return [...(await answer.text()).matchAll(/<AlarmName>([^<]+)<\/AlarmName>/g)].map(([, name = '']) => name);
  }

  end(): void {
    for (const { lambda, sqs, ssm } of this.#clients.values()) for (const client of [lambda, sqs, ssm]) client.destroy();
  }
}
