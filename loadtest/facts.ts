import { CENTRIFUGO, type Contender } from './contender.ts';
import { describeMachine, type Machine } from './machine.ts';
import type { BenchOptions } from './options.ts';
import { DATA_BYTES } from './publication-data.ts';

/** What holds for the whole run. */
export interface RunFacts {
  readonly machine: Machine;
  readonly contenders: readonly Pick<Contender, 'name' | 'what'>[];
  readonly seconds: number;
  readonly isQuick: boolean;
  /** Names of the settings that tidegate was given by the environment. */
  readonly settings: readonly string[];
}

export function describeRun(options: BenchOptions, directory: string): RunFacts {
  return {
    machine: describeMachine(directory),
    contenders: options.contenders.map(({ name, what }) => ({ name, what })),
    seconds: options.seconds,
    isQuick: options.isQuick,
    settings: Object.keys(process.env).filter((name) => name.startsWith('TIDEGATE_')),
  };
}

/** Ahead of the tables: on what was measured, and how a figure is to be read. */
export function formatFacts({ machine, contenders, seconds, isQuick, settings }: RunFacts): string {
  const disk = `data on ${machine.fileSystem}, 4 KiB synced in ${machine.syncMs.toFixed(2)} ms`;
  const isVolatile = machine.fileSystem === 'tmpfs';
  const hasCentrifugo = contenders.some(({ name }) => name === CENTRIFUGO);
  const lines = [
    `${machine.cores} cores, ${machine.architecture}, Linux, Node ${machine.node}; ${disk}; Socket.IO ${machine.socketIo},`,
    `ws ${machine.ws}, uWebSockets.js from uws-pack ${machine.uws}.`,
    ...(isQuick ? ['A quick look: one short round each. No figure to quote.'] : []),
    ...(isVolatile ? ['WARNING: a sync costs nothing there. --directory names another place.'] : []),
    ...(settings.length > 0 ? [`Set by the environment: ${settings.join(', ')}.`] : []),
    '',
    ...contenders.map(({ name, what }) => `- ${name}: ${what}`),
    '',
    `The others store nothing${hasCentrifugo ? '' : '; Centrifugo was not there'}. tidegate answers and delivers a publication after`,
    'its embedded log has it on disk (fsync). Server and client have a core each, and CPU is the share of one; all of',
    'that is otherwise in cluster, presence and history, which say how.',
    `Publications have ${DATA_BYTES} bytes of data, and every delivery is verified: per session none was lost, doubled,`,
    'reordered or altered. A round is refused where the client was busy for more than 90 % of the time while the',
    'server had some of its core left; ≥ marks a server of which all rounds were, and a ratio to such a one is taken by',
    'what each does in a second of its CPU time (by CPU). Figures are medians [min–max] of the',
    `rounds, measured for ${seconds} s each in turn; ratios and differences are taken round by round.`,
  ];
  return lines.join('\n');
}
