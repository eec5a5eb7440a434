// Stands before an emulator of DynamoDB and adds up the capacity units of each table that the emulator says a call has
// taken. What a condition that failed costs is reported by nobody: it is reckoned from what was to be written.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bytesOf, post } from '../../scripts/lib/functions-place.ts';
import { fromBase64, toBase64 } from '../../src/adapters/aws/base64.ts';
import { writeUnits } from '../../src/adapters/aws/units.ts';
import type { Item } from '../../src/adapters/aws/layout.ts';

export interface Units {
  readUnits: number;
  writeUnits: number;
  /** Of conditions that failed; in `writeUnits` too. */
  failedUnits: number;
  failed: number;
}

interface JsonValue {
  readonly B?: string;
  readonly S?: string;
  readonly N?: string;
  readonly L?: readonly JsonValue[];
}
type JsonItem = Readonly<Record<string, JsonValue>>;
interface Consumed {
  readonly TableName: string;
  readonly CapacityUnits: number;
}
interface Answer {
  readonly __type?: string;
  readonly ConsumedCapacity?: Consumed | readonly Consumed[];
  readonly Item?: JsonItem;
}
interface Question {
  readonly TableName?: string;
  readonly Item?: JsonItem;
  readonly ExpressionAttributeValues?: JsonItem;
}

const READS: readonly string[] = ['GetItem', 'Query', 'Scan', 'BatchGetItem'];
const WRITES: readonly string[] = ['PutItem', 'UpdateItem', 'DeleteItem', 'TransactWriteItems'];

export class Meter {
  readonly #server: Server;
  readonly #target: string;
  #tables = new Map<string, Units>();
  /** Read units of queries, by table and partition key. */
  #queried = new Map<string, number>();

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((incoming, outgoing) => void this.#pass(incoming, outgoing).catch((error: unknown) => outgoing.writeHead(500).end(String(error))));
  }

  static async before(target: string): Promise<Meter> {
    const meter = new Meter(target);
    meter.#server.listen(0, '127.0.0.1');
    await once(meter.#server, 'listening');
    return meter;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  reset(): void {
    this.#tables = new Map();
    this.#queried = new Map();
  }

  /** What queries of one partition key have taken. */
  queried(table: string, PK: Uint8Array): number {
    return this.#queried.get(`${table} ${toBase64(PK)}`) ?? 0;
  }

  of(table: string): Units {
    const units = this.#tables.get(table) ?? { readUnits: 0, writeUnits: 0, failedUnits: 0, failed: 0 };
    this.#tables.set(table, units);
    return units;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const operation = String(incoming.headers['x-amz-target']).split('.').at(-1) ?? '';
    const question = JSON.parse((await bytesOf(incoming)).toString()) as Question;
    const isCounted = READS.includes(operation) || WRITES.includes(operation);
    const body = Buffer.from(JSON.stringify(isCounted ? { ...question, ReturnConsumedCapacity: 'TOTAL' } : question));
    const { host: _host, 'content-length': _length, connection: _connection, ...headers } = incoming.headers;
    const { status, bytes } = await post(this.#target, headers, body);
    if (isCounted) this.#count(operation, question, JSON.parse(bytes.toString()) as Answer);
    outgoing.writeHead(status, { 'content-type': 'application/x-amz-json-1.0', date: new Date().toUTCString() }).end(bytes);
  }

  #count(operation: string, { TableName = '', Item, ExpressionAttributeValues = {} }: Question, { __type = '', ConsumedCapacity = [], Item: stored }: Answer): void {
    for (const { TableName: table, CapacityUnits } of [ConsumedCapacity].flat()) {
      const units = this.of(nameOf(table));
      if (READS.includes(operation)) units.readUnits += CapacityUnits;
      else units.writeUnits += CapacityUnits;
      const queried = `${nameOf(table)} ${ExpressionAttributeValues[':pk']?.B ?? ''}`;
      if (operation === 'Query') this.#queried.set(queried, (this.#queried.get(queried) ?? 0) + CapacityUnits);
    }
    if (!__type.endsWith('ConditionalCheckFailedException')) return;
    const units = this.of(nameOf(TableName));
    const taken = Math.max(1, ...[Item, stored].flatMap((item) => (item === undefined ? [] : [writeUnits(asItem(item))])));
    units.failed++;
    units.failedUnits += taken;
    units.writeUnits += taken;
  }
}

/** A name, or an ARN that ends with it. */
const nameOf = (table: string): string => table.split('/').at(-1) ?? table;

const asItem = (item: JsonItem): Item => Object.fromEntries(Object.entries(item).map(([name, value]) => [name, asValue(value)]));

function asValue(value: JsonValue): Item[string] {
  if (value.L !== undefined) return { L: value.L.map(asValue) };
  return (value.B === undefined ? value : { B: fromBase64(value.B) ?? new Uint8Array(0) }) as Item[string];
}
