// The commands. Each is in a file of its own, adds itself here, and ends with an exit code of exit.ts.

import { Command, CommanderError, Help, type HelpConfiguration } from 'commander';
import { addCollection } from './commands/collections.ts';
import { addConflicts } from './commands/conflicts.ts';
import { addCost } from './commands/cost.ts';
import { addDemo } from './commands/demo.ts';
import { addDrill } from './commands/drill.ts';
import { addDump } from './commands/dump.ts';
import { addEdge, addWitness } from './commands/edge.ts';
import { addDel, addExplain, addGet, addPut } from './commands/items.ts';
import { addKey } from './commands/keys.ts';
import { addRange, addScan } from './commands/lists.ts';
import { addRegion, addUp } from './commands/processes.ts';
import { addReconcile } from './commands/reconcile.ts';
import { addReplication } from './commands/replication.ts';
import { addStatus } from './commands/status.ts';
import { addTop } from './commands/top.ts';
import { addTopology } from './commands/topology.ts';
import { EXIT, EXIT_CODES_HELP, sentenceOf, tell } from './exit.ts';
import { reflowed } from './output.ts';
import { processTerminal, type Parent, type Terminal } from './terminal.ts';

type Add = (program: Command, terminal: Terminal) => void;

const GROUPS: Readonly<Record<string, readonly Add[]>> = {
  'Begin here:': [addDemo],
  'Run:': [addUp, addRegion, addEdge, addWitness],
  'Items:': [addPut, addGet, addDel, addRange, addScan, addExplain],
  'Collections and keys:': [addCollection, addKey],
  'Regions:': [addStatus, addTop, addConflicts, addReconcile, addReplication, addTopology, addDump],
  'Rehearse:': [addDrill],
  'Reckon:': [addCost],
};

const plainHelp = new Help();

/** A command's own options come first; that an option which may be repeated was not given so far is no news. */
const HELP: HelpConfiguration = {
  optionDescription: (option) => (Array.isArray(option.defaultValue) ? option.description : plainHelp.optionDescription(option)),
  groupItems: (all, visible, groupOf) => {
    const groups = plainHelp.groupItems(all, visible, groupOf);
    const own = groups.get('Options:');
    return own === undefined ? groups : new Map([['Options:', own], ...groups]);
  },
};

export function buildProgram(terminal: Terminal): Command {
  const program = new Command('archipel')
    .description('A multi-region key-value store: every acknowledged write is accounted for.')
    .version('0.1.0')
    .exitOverride()
    .configureHelp(HELP)
    .addHelpCommand(new Command('help').argument('[command]').description('show a command’s options, and examples').helpGroup('Begin here:'))
    .configureOutput({
      writeOut: (text) => void terminal.out.write(reflowed(text, terminal.out.columns)),
      writeErr: (text) => void terminal.err.write(text),
      getOutHelpWidth: () => terminal.out.columns,
      getErrHelpWidth: () => terminal.err.columns,
      getOutHasColors: () => terminal.out.colours,
      getErrHasColors: () => terminal.err.colours,
      outputError: (text, write) => write(`${sentence(text)} Add --help for what there is.\n`),
    })
    .addHelpText('after', `
Commands that speak to a cluster find it by --url and --key, by the variables ARCHIPEL_URL and ARCHIPEL_KEY, or by the data
folder of a cluster on this machine (--data, default .archipel).
${EXIT_CODES_HELP}`);
  for (const [heading, adds] of Object.entries(GROUPS)) {
    program.commandsGroup(heading);
    for (const add of adds) add(program, terminal);
  }
  return program;
}

/** `error: unknown option '--x'\n(Did you mean …?)` as one sentence. */
function sentence(text: string): string {
  const [first = '', ...rest] = text.replace(/^error: /, '').trim().split('\n');
  const main = first.charAt(0).toUpperCase() + first.slice(1);
  return [main.endsWith('.') ? main : `${main}.`, ...rest.map((line) => line.replace(/^\((.*)\)$/, '$1'))].join(' ');
}

export async function run(argv: readonly string[], terminal: Terminal = processTerminal()): Promise<void> {
  try {
    await buildProgram(terminal).parseAsync([...argv]);
  } catch (error) {
    if (error instanceof CommanderError) terminal.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.failed;
    else if (terminal.parent === undefined) tell(terminal, error, false);
    else await tellParent(terminal.parent, error, terminal);
  }
}

/** A process of a cluster: its parent says what went wrong. */
async function tellParent(parent: Parent, error: unknown, terminal: Terminal): Promise<void> {
  terminal.exitCode = EXIT.failed;
  await parent.send({ error: sentenceOf(error) });
  parent.leave();
}
