// `demo`: the story of the store, with real requests on a running cluster.

import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { isArchipelError } from '../../core/errors.ts';
import { SILENT, TerminalNarrator, type Narrator } from '../demo/narrator.ts';
import { NotShown, Stage } from '../demo/stage.ts';
import { castOf, Story, type Cast } from '../demo/story.ts';
import { EXIT, Interrupted, sentenceOf } from '../exit.ts';
import { withConnection, withSession, type ConnectionFlags, type Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export function addDemo(program: Command, terminal: Terminal): void {
  const command = program.command('demo').description('tell the story with real requests on a running cluster: written here, read there; cut apart, joined again, nothing lost');
  withConnection(command, { region: false })
    .addHelpText('after', `
Pauses replication between two regions for a moment, and resumes it whatever happens, also after Ctrl-C. Uses the collections
demo-siblings and demo-lww, whose items expire after a day. Needs a key with all scopes.

Examples:
  archipel up                        in one terminal, then in another:
  archipel demo
  archipel demo --json | jq .verdict

Exit codes: 0 every step showed what it claims; 1 one did not, or could not be done`)
    .action((flags: ConnectionFlags) => withSession(terminal, flags, (session) => tell(session)));
}

type Verdict = 'passed' | 'failed' | 'interrupted';

async function tell(session: Session): Promise<number> {
  const { terminal, style, isJson } = session;
  const interruption = new AbortController();
  const release = terminal.onInterrupt(() => interruption.abort());
  const narrator: Narrator = isJson ? SILENT : new TerminalNarrator(terminal.out, style);
  const stage = new Stage(narrator, interruption.signal);
  const startedMs = performance.now();
  let cast: Cast | undefined;
  let error: Error | undefined;
  try {
    cast = await castOf(session);
    await narrator.begin(opening(session, cast));
    await new Story(session, stage, cast, randomBytes(3).toString('hex')).tell();
  } catch (thrown) {
    if (!isTold(thrown)) throw thrown;
    error = thrown;
  } finally {
    release();
  }
  const verdict: Verdict = error === undefined ? 'passed' : error instanceof Interrupted ? 'interrupted' : 'failed';
  const why = error instanceof NotShown ? error.message : error === undefined ? undefined : sentenceOf(error);
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
  if (isJson) await session.json({ verdict, ...(why === undefined ? {} : { error: why }), cluster: session.front.url, regions: cast?.all.map(({ id }) => id), seconds: Number(seconds), steps: stage.steps });
  else await narrator.end(verdict === 'passed' ? `All of it happened as told, in ${seconds} s.` : verdict === 'interrupted' ? 'Interrupted; replication goes on.' : `Not as told: ${why ?? ''}`, verdict === 'passed');
  return verdict === 'passed' ? EXIT.done : EXIT.failed;
}

const isTold = (error: unknown): error is Error => error instanceof Interrupted || error instanceof NotShown || isArchipelError(error);

function opening(session: Session, { all, edge }: Cast): string[] {
  const { style } = session;
  return [
    `Archipel: nothing that was acknowledged is lost`,
    style.dim(`${edge ? 'The edge' : 'A region'} at ${session.front.url}; ${all.map(({ id, city }) => (city === id ? id : `${city} is ${id}`)).join(', ')}.`),
    style.dim(`Every request is real; the curl lines leave out ${session.hasKey ? 'the key (-H "Authorization: Bearer …"), ' : ''}operation ids, and most of the contexts.`),
  ];
}
