// `topology`: which regions take part, as an operator has decided. Nothing automatic changes it.

import type { Command } from 'commander';
import { patientClock } from '../../client/node.ts';
import type { TopologyChanged } from '../../client/types.ts';
import { cityOf } from '../../config/places.ts';
import { ArchipelError, isArchipelError } from '../../core/errors.ts';
import type { RegionId } from '../../core/version/dot.ts';
import { pause } from '../../ports/clock.ts';
import { EXIT_CODES_HELP } from '../exit.ts';
import { table } from '../output.ts';
import { withConnection, withSession, type ConnectionFlags, type Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';

type Verb = 'drain' | 'return' | 'fence' | 'lose';

const VERBS: Readonly<Record<Verb, { readonly description: string; readonly help: string }>> = {
  drain: { description: 'route nothing new to a region', help: 'It serves whoever still asks it, and replicates on: the step before maintenance. topology return undoes it.' },
  return: { description: 'let a region that was drained, fenced or lost be active again', help: `One that was fenced or lost first takes back what the others have, and serves then. One that was lost is joining until it holds
everything, with a certificate of every replica, and made active then: this waits for it, and --no-wait leaves it joining, for the same
command later. What a lost one had not passed on merges; what of it loses is one group: archipel conflicts list shows it.` },
  fence: {
    description: 'let a region take no part',
    help: 'Its writes and reads are refused, and nothing that it sends is taken. What it had not passed on stays with it. topology return undoes it.',
  },
  lose: {
    description: 'declare a region lost for good',
    help: 'Its peers drop what they keep for it and compare with each other at once. What it had not passed on is lost, and no more than its live RPO said.\ntopology return takes it back, if it comes after all; needs --yes.',
  },
};

interface VerbFlags extends ConnectionFlags {
  readonly yes?: boolean;
  readonly wait?: boolean;
}

const LOOK_EVERY_MS = 500;

export function addTopology(program: Command, terminal: Terminal): void {
  const group = program.command('topology').description('which regions take part: show, drain, return, fence, lose, promote').helpCommand(false);
  withConnection(group.command('show').description('show the document that stands'))
    .addHelpText('after', `
Examples:
  archipel topology show
  archipel topology show --region eu-central-1
${EXIT_CODES_HELP}`)
    .action((flags: ConnectionFlags) =>
      withSession(terminal, flags, async (session) => {
        const { term, epoch, control, regions } = await (await session.forRoutes()).topology();
        await show(session, { term, epoch, control, regions });
      }),
    );
  for (const verb of Object.keys(VERBS) as Verb[]) addVerb(group, terminal, verb);
  const promote = group.command('promote').description('make another region the control region, when the last one is gone').argument('<region>');
  withConnection(promote, { region: false })
    .addHelpText('after', `
The control region's table orders the documents. A promoted one does so under a higher term: what the last one still writes is
older from then on, and refused. Two regions promoted at once under one term refuse each other's documents: promote one again.

Examples:
  archipel topology promote us-east-1
${EXIT_CODES_HELP}`)
    .action((region: string, flags: ConnectionFlags) => withSession(terminal, flags, async (session) => show(session, await (await session.at(region)).promote())));
}

function addVerb(group: Command, terminal: Terminal, verb: Verb): void {
  const { description, help } = VERBS[verb];
  const command = group.command(verb).description(description).argument('<region>');
  if (verb === 'lose') command.option('--yes', 'what it has not passed on may be lost: say that this is meant');
  if (verb === 'return') command.option('--no-wait', 'leave a region that was lost joining, and do not wait until it holds everything');
  withConnection(command, { region: false })
    .addHelpText('after', `
${help}
Any region takes the change and passes it on to the control region; the others learn it with the next message.

Examples:
  archipel topology ${verb} us-east-1${verb === 'lose' ? ' --yes' : ''}
${EXIT_CODES_HELP}`)
    .action((region: string, flags: VerbFlags) =>
      withSession(terminal, flags, async (session) => {
        if (verb === 'lose' && flags.yes !== true) throw new ArchipelError('bad-request', `What ${region} has not passed on is lost, unless it comes back after all: add --yes.`);
        const changed = await session.front.changeRegion(region, verb);
        await show(session, verb === 'return' && flags.wait !== false ? await untilActive(session, region, changed, (why) => terminal.err.write(`${why}\n`)) : changed);
      }),
    );
}

/** A region that was lost is joining first: it is asked for again until it holds everything. */
async function untilActive(session: Session, region: string, changed: TopologyChanged, tell: (why: string) => Promise<void>): Promise<TopologyChanged> {
  let last = changed;
  for (let told: string | undefined; last.regions.find(({ id }) => id === region)?.state === 'joining'; ) {
    try {
      last = await session.front.changeRegion(region, 'return');
    } catch (error) {
      if (!isArchipelError(error, 'topology-change-refused')) throw error;
      if (error.message !== told) await tell(error.message);
      told = error.message;
      await pause(patientClock, LOOK_EVERY_MS);
    }
  }
  return last;
}

async function show(session: Session, { term, epoch, control, regions }: TopologyChanged): Promise<void> {
  if (session.isJson) return session.json({ term, epoch, control, regions: regions.map(({ id, state }) => ({ id, state })) });
  const { good, warn, bad, dim } = session.style;
  const paint = (state: string): string => (state === 'active' ? good : state === 'lost' || state === 'fenced' ? bad : warn)(state);
  const rows = regions.map(({ id, state }) => [id, cityOf(id as RegionId) ?? '', paint(state), id === control ? dim('control') : '']);
  await session.line(`document ${term}.${epoch}\n${table([{ title: 'region' }, { title: '' }, { title: 'state' }, { title: '' }], rows, session.style)}`);
}
