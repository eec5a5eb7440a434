// `replication pause|resume`: holds back what two regions send each other, and lets it go on.

import type { Command } from 'commander';
import { ArchipelError } from '../../core/errors.ts';
import { EXIT_CODES_HELP } from '../exit.ts';
import { withConnection, withSession, type ConnectionFlags, type Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';

interface Flags extends ConnectionFlags {
  readonly oneSide?: boolean;
}

export function addReplication(program: Command, terminal: Terminal): void {
  const group = program.command('replication').description('pause and resume replication between two regions').helpCommand(false);
  for (const verb of ['pause', 'resume'] as const) {
    const command = group
      .command(verb)
      .description(verb === 'pause' ? 'hold back both directions between two regions, also over a restart' : 'let both directions go on')
      .argument('<region>')
      .argument('<peer>')
      .option('--one-side', 'only at the first region: enough to hold back both directions, or to ask for it while the other is down');
    withConnection(command, { region: false })
      .addHelpText('after', `
Writes go on in every region; what waits is counted in status (unreplicated) and sent after resume. Only what is sent by itself is held
back: a reconciliation, and a write that asks for it (--replicate-to), still go through.

Examples:
  archipel replication ${verb} ap-northeast-2 eu-central-1
${EXIT_CODES_HELP}`)
      .action((region: string, peer: string, flags: Flags) =>
        withSession(terminal, flags, async (session) => {
          if (region === peer) throw new ArchipelError('bad-request', 'Name two different regions.');
          const sides = flags.oneSide === true ? ([[region, peer]] as const) : ([[region, peer], [peer, region]] as const);
          await setPaused(session, verb, sides);
          await (session.isJson ? session.json({ [verb === 'pause' ? 'paused' : 'resumed']: sides.map(([at, with_]) => ({ region: at, peer: with_ })) }) : session.line(`${session.style.good(verb === 'pause' ? 'paused' : 'resumed')} ${region} ↔ ${peer}`));
        }),
      );
  }
}

export async function setPaused(session: Session, verb: 'pause' | 'resume', sides: readonly (readonly [string, string])[]): Promise<void> {
  for (const [region, peer] of sides) await (await session.at(region))[verb](peer);
}
