// What npm run deploy and npm run destroy ask of the CDK's command line, and what they do with its answer.

import { describe, expect, it } from 'vitest';
import { deploy, type DeployFlags, type DeployParts, type Verb } from '../../scripts/lib/deploy.ts';
import { file } from './synth.ts';

const STACKS = ['archipel-eu-west-1', 'archipel-us-east-1', 'archipel-edge'];
const EVERY = ['--app', 'out'];

interface Told {
  readonly code?: number;
  readonly calls: readonly (readonly string[])[];
  readonly questions: readonly string[];
  readonly refused?: string;
}

interface World {
  /** What the CDK's command line ends with. */
  readonly codes?: readonly number[];
  readonly answer?: boolean;
  /** Whether the tables can be written. */
  readonly tells?: boolean;
}

/** Told twice for two regions; `answer` undefined: nobody is there. */
async function told(verb: Verb, flags: DeployFlags, { codes = [], answer, tells = true }: World = {}): Promise<Told> {
  const calls: string[][] = [];
  const questions: string[] = [];
  const ask = (question: string): Promise<boolean> => {
    questions.push(question);
    return Promise.resolve(answer === true);
  };
  const parts: DeployParts = {
    out: 'out',
    synth: (_, out) => {
      calls.push(['synth', out]);
      return Promise.resolve(STACKS);
    },
    cdk: (args) => {
      calls.push([...args]);
      return Promise.resolve(codes[calls.filter(([first]) => first === '--app').length - 1] ?? 0);
    },
    say: () => undefined,
    tell: ({ regions }, outputs) => {
      calls.push(['tell', ...regions, outputs]);
      return tells ? Promise.resolve() : Promise.reject(new Error('no table'));
    },
    ...(answer === undefined ? {} : { ask }),
  };
  try {
    return { code: await deploy(verb, { regions: 'eu-west-1,us-east-1', ...flags }, parts), calls, questions };
  } catch (error) {
    return { refused: error instanceof Error ? error.message : String(error), calls, questions };
  }
}

const SYNTH = ['synth', 'out'];
const OUTPUTS = ['--outputs-file', 'out/outputs.json'];
const DEPLOY = [...EVERY, 'deploy', '--all', '--concurrency', '8', '--require-approval', 'never', ...OUTPUTS];
const TELL = ['tell', 'eu-west-1', 'us-east-1', 'out/outputs.json'];
const DESTROY = [...EVERY, 'destroy', '--all', '--concurrency', '8', '--force'];

describe('deploy', () => {
  it('--yes: makes the templates and deploys all of them, some at a time, without a question that the CDK could not ask', async () => {
    expect(await told('deploy', { yes: true })).toEqual({ code: 0, calls: [SYNTH, DEPLOY, TELL], questions: [] });
  });

  it('shows what changes, asks, and deploys', async () => {
    expect(await told('deploy', {}, { answer: true })).toEqual({ code: 0, calls: [SYNTH, [...EVERY, 'diff', '--all'], DEPLOY, TELL], questions: ['Deploy this?'] });
  });

  it('tells nobody an address of what could not be deployed', async () => {
    expect(await told('deploy', { yes: true }, { codes: [1] })).toMatchObject({ code: 1, calls: [SYNTH, DEPLOY] });
  });

  it('says so when the stacks are there and a region could not be told', async () => {
    const { refused } = await told('deploy', { yes: true }, { tells: false });
    expect(refused).toBe('All stacks are deployed, but not every region was told where the others are reached (no table). Deploy again.');
  });

  it('changes nothing when the answer is no', async () => {
    expect(await told('deploy', {}, { answer: false })).toEqual({ code: 1, calls: [SYNTH, [...EVERY, 'diff', '--all']], questions: ['Deploy this?'] });
  });

  it('changes nothing that could not be shown', async () => {
    expect(await told('deploy', {}, { codes: [3], answer: true })).toEqual({ code: 3, calls: [SYNTH, [...EVERY, 'diff', '--all']], questions: [] });
  });

  it('--only: these stacks alone, in this order, whatever they depend on', async () => {
    const { code, calls } = await told('deploy', { only: 'us-east-1, edge' }, { answer: true });
    const which = ['archipel-us-east-1', 'archipel-edge', '--exclusively'];
    expect([code, calls]).toEqual([0, [SYNTH, [...EVERY, 'diff', ...which], [...EVERY, 'deploy', ...which, '--concurrency', '8', '--require-approval', 'never', ...OUTPUTS]]]);
  });

  it('--only: by the name that the deployment has', async () => {
    const { calls } = await told('deploy', { only: 'eu-west-1', name: 'shop', yes: true });
    expect(calls[1]).toContain('shop-eu-west-1');
  });
});

describe('destroy', () => {
  it('asks once, and deletes all of it', async () => {
    expect(await told('destroy', {}, { answer: true })).toEqual({ code: 0, calls: [SYNTH, DESTROY], questions: [`Delete ${STACKS.join(', ')}?`] });
    expect(await told('destroy', { yes: true })).toEqual({ code: 0, calls: [SYNTH, DESTROY], questions: [] });
  });

  it('deletes nothing when the answer is no', async () => {
    expect(await told('destroy', {}, { answer: false })).toMatchObject({ code: 1, calls: [SYNTH] });
  });
});

describe.each(['deploy', 'destroy'] as const)('%s', (verb) => {
  it('ends with what the CDK ends with', async () => {
    expect(await told(verb, { yes: true }, { codes: [7] })).toMatchObject({ code: 7 });
  });

  it('refuses where nobody can be asked', async () => {
    expect(await told(verb, {})).toEqual({ refused: `Nobody can be asked here. To ${verb} without: --yes.`, calls: [], questions: [] });
  });

  it.each([
    [{ regions: 'Europe' }, 'Not a region id'],
    [{ name: 'Shop' }, 'a-z 0-9'],
    [{ config: 'no-such-file.json' }, 'cannot be read'],
    [{ config: file({ retention: { logDays: 31 } }) }, 'retention.logDays'],
    [{ only: 'us-east-2' }, '--only takes eu-west-1, us-east-1 and edge, not "us-east-2".'],
  ])('refuses %j, with a sentence, before anything is made', async (flags, sentence) => {
    const { refused, calls } = await told(verb, { ...flags, yes: true });
    expect(refused).toContain(sentence);
    expect(calls).toEqual([]);
  });
});
