// Stands before the emulated tables, and does what the emulator lacks: answers of DynamoDB that a test asks for in place of the
// table's, reads that lag behind, the time of AWS. It notes what reads cost.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bytesOf, post } from '../../scripts/lib/functions-place.ts';

export interface DynamoFault {
  readonly type: string;
  readonly status?: number;
  readonly more?: Readonly<Record<string, unknown>>;
}

/** Of a range of one partition key. */
export interface Read {
  readonly table: string;
  /** As base64. */
  readonly PK: string;
  readonly units: number;
  readonly isConsistent: boolean;
}

interface Question extends Record<string, unknown> {
  readonly TableName?: string;
  readonly ConsistentRead?: boolean;
  readonly ExpressionAttributeValues?: Readonly<Record<string, { readonly B?: string }>>;
}

interface Answer {
  readonly ConsumedCapacity?: { readonly CapacityUnits: number };
}

export class TableFront {
  readonly #server: Server;
  readonly #target: string;
  /** Asked before each call: what DynamoDB answers in the table's place. */
  fault: (operation: string, input: Record<string, unknown>) => DynamoFault | undefined = () => undefined;
  /** How far the clock of AWS is from that of the functions. */
  aheadOfUsMs = 0;
  /** What was read, and what the emulator says that it cost, where that was asked. */
  readonly reads: Read[] = [];
  /** Tables, and the copies from before that answer reads which need not be consistent. */
  readonly lagging = new Map<string, string>();

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((incoming, outgoing) => void this.#passOn(incoming, outgoing).catch((error: unknown) => outgoing.writeHead(500).end(String(error))));
  }

  static async before(target: string): Promise<TableFront> {
    const front = new TableFront(target);
    front.#server.listen(0, '127.0.0.1');
    await once(front.#server, 'listening');
    return front;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #passOn(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const question = JSON.parse((await bytesOf(incoming)).toString()) as Question;
    const operation = String(incoming.headers['x-amz-target']).split('.').at(-1) ?? '';
    const fault = this.fault(operation, question);
    if (fault !== undefined) return void outgoing.writeHead(fault.status ?? 400, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${fault.type}`, message: fault.type, ...fault.more }));
    const { host: _host, 'content-length': _length, connection: _connection, ...headers } = incoming.headers;
    const isRead = operation === 'Query';
    const asked = isRead ? { ...question, TableName: this.#shownFor(question) } : question;
    const { status, bytes } = await post(this.#target, headers, Buffer.from(JSON.stringify(asked)));
    if (isRead) this.#note(question, JSON.parse(bytes.toString()) as Answer);
    outgoing.writeHead(status, { 'content-type': 'application/x-amz-json-1.0', date: new Date(Date.now() + this.aheadOfUsMs).toUTCString() }).end(bytes);
  }

  #shownFor({ TableName = '', ConsistentRead }: Question): string {
    return ConsistentRead === true ? TableName : (this.lagging.get(TableName) ?? TableName);
  }

  #note({ TableName: table = '', ConsistentRead, ExpressionAttributeValues }: Question, { ConsumedCapacity }: Answer): void {
    this.reads.push({ table, PK: ExpressionAttributeValues?.[':pk']?.B ?? '', units: ConsumedCapacity?.CapacityUnits ?? 0, isConsistent: ConsistentRead === true });
  }
}
