// One environment of a function: a process of its own, which runs the bundle that would be deployed and can be killed at any
// moment. All that it asks of tables and queues goes through here, so that it can be killed between an answer of theirs and
// its hearing of it.

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bytesOf, post } from '../../scripts/lib/functions-place.ts';

const PROCESS = fileURLToPath(new URL('environment-process.js', import.meta.url));
const STDERR_CHARACTERS = 4_000;

/** Of a table or a queue. */
export interface Call {
  /** Not passed on yet, or carried out and not told of. */
  readonly stage: 'asked' | 'carried-out';
  readonly service: 'dynamo' | 'sqs';
  readonly operation: string;
  readonly input: () => Readonly<Record<string, unknown>>;
}

export class EnvironmentKilledError extends Error {}

type Reply = 'ready' | { readonly answer?: unknown; readonly error?: string };

export class Environment {
  readonly #variables: Readonly<Record<string, string>>;
  readonly #front: Server;
  #child: ChildProcess | undefined;
  isKilled = false;
  #stderr = '';
  /** Told of each call, twice; of a process that is killed meanwhile it goes no further. */
  meanwhile: (call: Call) => Promise<void> = () => Promise.resolve();

  private constructor(variables: Readonly<Record<string, string>>) {
    this.#variables = variables;
    this.#front = createServer((incoming, outgoing) => void this.#passOn(incoming, outgoing).catch(() => outgoing.destroy()));
  }

  /** Loaded, and invoked once with nothing to do. */
  static async start(bundle: string, variables: Readonly<Record<string, string>>): Promise<Environment> {
    const environment = new Environment(variables);
    environment.#front.listen(0, '127.0.0.1');
    await once(environment.#front, 'listening');
    await environment.#begin(bundle);
    await environment.invoke({ Records: [] });
    return environment;
  }

  async #begin(bundle: string): Promise<void> {
    const url = `http://127.0.0.1:${(this.#front.address() as AddressInfo).port}`;
    const env = { ...process.env, ...this.#variables, AWS_ENDPOINT_URL_DYNAMODB: url, AWS_ENDPOINT_URL_SQS: url, NODE_COMPILE_CACHE: join(dirname(bundle), 'compiled') };
    const child = (this.#child = fork(PROCESS, [bundle], { env, execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] }));
    child.stderr?.on('data', (chunk: Buffer) => (this.#stderr = (this.#stderr + chunk.toString()).slice(-STDERR_CHARACTERS)));
    await this.#reply();
  }

  /** @throws EnvironmentKilledError; Error for what the handler throws, and for a process that ends by itself */
  async invoke(event: unknown): Promise<unknown> {
    const reply = this.#reply();
    this.#child?.send({ event }, () => undefined); // one that is gone is told by the reply
    const told = await reply;
    if (told === 'ready' || told.error !== undefined) throw new Error(told === 'ready' ? 'Begun twice.' : told.error);
    return told.answer;
  }

  #reply(): Promise<Reply> {
    const child = this.#child as ChildProcess;
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(this.isKilled ? new EnvironmentKilledError('SIGKILL') : new Error(`It ended: ${this.#stderr}`));
      if (child.exitCode !== null || child.signalCode !== null) return ended();
      child.once('exit', ended);
      child.once('message', (message) => {
        child.off('exit', ended);
        resolve(message as Reply);
      });
    });
  }

  /** It is gone when this resolves. */
  async kill(): Promise<void> {
    const child = this.#child as ChildProcess;
    this.isKilled = true;
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    this.#front.close();
    this.#front.closeAllConnections();
  }

  async #passOn(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await bytesOf(incoming);
    const [target = '', operation = ''] = String(incoming.headers['x-amz-target']).split('.');
    const service = target === 'AmazonSQS' ? 'sqs' : 'dynamo';
    const call = { service, operation, input: () => JSON.parse(body.toString()) as ReturnType<Call['input']> } as const;
    await this.meanwhile({ stage: 'asked', ...call });
    if (this.isKilled) return void outgoing.destroy();
    const { host: _host, 'content-length': _length, connection: _connection, ...headers } = incoming.headers;
    const { status, bytes } = await post(this.#variables[`AWS_ENDPOINT_URL_${service === 'sqs' ? 'SQS' : 'DYNAMODB'}`] ?? '', headers, body);
    if (status === 200) await this.meanwhile({ stage: 'carried-out', ...call });
    if (this.isKilled) return void outgoing.destroy();
    outgoing.writeHead(status, { 'content-type': 'application/x-amz-json-1.0', date: new Date().toUTCString() }).end(bytes);
  }
}
