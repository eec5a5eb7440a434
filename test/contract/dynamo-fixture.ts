// A table on Dynoxide for each test of a file, with what tests of the adapter watch and break: calls and their units,
// the calls' failures, pauses, and a second process on the same data.

import { GetItemCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { DynamoTable } from '../../src/adapters/aws/dynamo-table.ts';
import type { Item, Place } from '../../src/adapters/aws/layout.ts';
import type { Consumed } from '../../src/adapters/aws/requests.ts';
import { nodeRandom } from '../../src/adapters/node/crypto.ts';
import { formatState } from '../../src/core/version/format.ts';
import type { State } from '../../src/core/version/record.ts';
import { HastyClock, makeTable, startDynoxide, type Emulator } from './emulators.ts';
import { key } from './make.ts';

export interface Fault {
  readonly command: 'GetItemCommand' | 'PutItemCommand' | 'UpdateItemCommand' | 'TransactWriteItemsCommand';
  /** `after`: the service has done it, and its answer is lost. */
  readonly when: 'before' | 'after';
  readonly error: Error;
}

export class DynamoFixture {
  /** Each breaks one call; a test must use them up. */
  faults: Fault[] = [];
  /** Runs before each call, as what another process does at that moment. */
  meanwhile: ((command: string, input: object) => Promise<void>) | undefined;
  clock = new HastyClock();
  #dynamo: Emulator<DynamoDBClient> | undefined;
  #table: DynamoTable | undefined;
  #tableName = '';
  #consumed: Consumed[] = [];

  /** Call it within `describe`. */
  static use(): DynamoFixture {
    const fixture = new DynamoFixture();
    beforeAll(() => fixture.#start());
    afterAll(() => fixture.#dynamo?.stop());
    beforeEach(() => fixture.#renew());
    afterEach(() => expect(fixture.faults).toEqual([]));
    return fixture;
  }

  async #start(): Promise<void> {
    this.#dynamo = await startDynoxide();
    this.#client.middlewareStack.add(
      (next, context) => async (args) => {
        await this.meanwhile?.(context.commandName ?? '', args.input);
        const at = this.faults.findIndex(({ command }) => command === context.commandName);
        const [fault] = at < 0 ? [] : this.faults.splice(at, 1);
        if (fault?.when === 'before') throw fault.error;
        const answer = await next(args);
        if (fault?.when === 'after') throw fault.error;
        return answer;
      },
      { step: 'initialize', name: 'faults' },
    );
  }

  async #renew(): Promise<void> {
    this.faults = [];
    this.meanwhile = undefined;
    this.clock = new HastyClock();
    this.#tableName = await makeTable(this.#client);
    this.#table = this.another();
  }

  get #client(): DynamoDBClient {
    return (this.#dynamo as Emulator<DynamoDBClient>).client;
  }

  get table(): DynamoTable {
    return this.#table as DynamoTable;
  }

  /** As another process of the region has it: its own object on the same data. */
  another(): DynamoTable {
    return new DynamoTable({ client: this.#client, tableName: this.#tableName, clock: this.clock, random: nodeRandom, onConsumed: (each) => this.#consumed.push(each) });
  }

  store(state: State, item = key('a'), on = this.table): Promise<void> {
    return on.update(item, { decide: () => ({ result: undefined, commit: { state, kind: 'local' } }) });
  }

  /** What stands, on one line. */
  async stored(item = key('a')): Promise<string> {
    const record = await this.table.get(item);
    return record === undefined ? 'nothing' : formatState(record.state);
  }

  async raw({ PK, SK }: Place): Promise<Item> {
    return (await this.#client.send(new GetItemCommand({ TableName: this.#tableName, Key: { PK, SK } }))).Item as Item;
  }

  /** The calls that succeeded and the units of each: `get 1, put 1`. */
  async costOf(work: () => Promise<unknown>): Promise<string> {
    this.#consumed = [];
    await work();
    return this.#consumed.map(({ call, readUnits, writeUnits }) => `${call} ${readUnits + writeUnits}`).join(', ');
  }
}
