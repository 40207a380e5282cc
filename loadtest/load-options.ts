import { parseArgs } from 'node:util';
import { integer, pick } from './command-line.ts';
import { sessionsAllowed } from './open-files.ts';

/** What a scenario takes unless it is told otherwise. */
export interface ScenarioDefaults {
  readonly sessions: number;
  readonly roomSize: number;
  /** Publications a second, of all sessions. */
  readonly rate: number;
  /** For how long it is measured. */
  readonly seconds: number;
  readonly replicas: number;
  readonly processes: number;
}

export interface Described {
  readonly name: string;
  /** For the help: one line. */
  readonly what: string;
  /** Which options it heeds beyond those that all do. */
  readonly heeds: readonly (keyof LoadOptions)[];
  readonly defaults: ScenarioDefaults;
}

export const FAULTS = ['kill', 'drain', 'freeze'] as const;
export type FaultKind = (typeof FAULTS)[number];
export const ENGINES = ['uws', 'ws'] as const;
export type Engine = (typeof ENGINES)[number];

/** A gateway that is there already. */
export interface GivenGateway {
  /** Of the WebSockets of its replicas. */
  readonly urls: readonly URL[];
  /** Of raw TCP, where that is to be loaded, as `host:port`. */
  readonly tcp: readonly string[];
  /** Of the internal ports, in the order of `urls`; none: nothing is read of it. */
  readonly internals: readonly URL[];
}

export interface LoadOptions extends ScenarioDefaults {
  readonly scenario: string;
  /** Undefined: one is started. */
  readonly given: GivenGateway | undefined;
  readonly transport: 'ws' | 'tcp';
  readonly engine: Engine;
  /** Loopback addresses that sessions come from. */
  readonly addresses: number;
  /** Sessions that come a second, at first. */
  readonly arrivals: number;
  readonly fault: FaultKind;
  /** Of the replica that is lost, where the gateway is one that was there. */
  readonly pid: number | undefined;
  readonly freezeSeconds: number;
  /** For how long those who lost their connection are waited for. */
  readonly backSeconds: number;
  /** Of the sessions, in percent: that stop reading, that vanish. */
  readonly stopping: number;
  readonly vanishing: number;
  /** Publications open at once where there is no rate. */
  readonly window: number;
  readonly lifeSeconds: number;
  /** By when presence must be true, where the gateway's settings are not ours to know. */
  readonly presenceSeconds: number | undefined;
  readonly json: string | undefined;
  readonly html: string | undefined;
  readonly directory: string | undefined;
}

export type LoadCommand =
  | { readonly kind: 'help' }
  | { readonly kind: 'run'; readonly options: LoadOptions }
  | { readonly kind: 'compare'; readonly files: readonly [string, string]; readonly html: string | undefined };

const SECONDS_MAX = 86_400;
const SESSIONS_MAX = 100_000;
const ROOM_SIZE_MAX = 100_000;
const RATE_MAX = 100_000;
const REPLICAS_MAX = 9;
const PROCESSES_MAX = 16;
const ADDRESSES_MAX = 250;
const ARRIVALS_MAX = 20_000;
const FREEZE_SECONDS_MAX = 600;
const BACK_SECONDS_MAX = 600;
const PID_MAX = 2 ** 22;
const WINDOW_MAX = 3_200;
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

export function loadHelp(scenarios: readonly Described[]): string {
  const line = ({ name, what, defaults }: Described): string => {
    const { sessions, roomSize, rate, seconds, replicas, processes } = defaults;
    const numbers = [sessions, roomSize, rate, seconds, replicas, processes].map((value) => String(value).padStart(8));
    return `  ${name.padEnd(13)}${numbers.join('')}   ${what}`;
  };
  const titles = ['sessions', 'room', 'rate', 'seconds', 'replicas', 'procs'].map((title) => title.padStart(8));
  return `Usage: npm run load -- SCENARIO [options]
       npm run load -- --compare A.json B.json [--html FILE]
       npm run herd -- [options]            the same as: npm run load -- herd

Loads a gateway that it starts, or one that is there, and checks what it does: that nothing that was acknowledged is lost,
doubled or reordered, and that presence is true. Tables go to standard output, what it is doing to standard error. Ctrl-C
ends it early, with checks and report; a second one at once. Needs Linux (taskset, /proc).

  scenario     ${titles.join('')}
${scenarios.map(line).join('\n')}

Options (defaults above)
  --sessions N         at most ${SESSIONS_MAX}; a file is open for each, here and in the gateway (ulimit -n)
  --room N             sessions of a room
  --rate N             publications a second, of all sessions together
  --seconds S          how long it is measured (at most ${SECONDS_MAX})
  --processes N        load processes, which share the sessions, room by room
  --addresses N        loopback addresses that sessions come from in turn (default 4)
  --arrivals N         sessions that come a second, at first (default 1000)
  --json FILE          writes all that was measured there
  --html FILE          writes a report with plots there, in one file
  --compare A B        two results of --json beside one another

The gateway
  --replicas N         starts so many; several share a Redis and a Kafka, which are started too (Java 17, redis-server),
                       or those of TIDEGATE_REDIS_URL and TIDEGATE_KAFKA_BROKERS
  --transport ws|tcp   of fanout, rooms, idle and slow-readers (default ws); the others have the SDK's clients, WebSocket
  --engine uws|ws      the WebSocket library of what is started (default uws)
  --url ws://HOST:PORT/ws   one that is there; again for each replica. Its limits per session apply
  --tcp HOST:PORT      the same for --transport tcp
  --internal URL       its internal port, as http://127.0.0.1:9100; again for each replica: what it says of itself is read
  --allow-remote       the gateway may be on another machine. You are sure that it is yours
  --directory DIR      where data directories are made (default: the system's temporary one)
  TIDEGATE_*           passed on to what is started, but for ports, data directory and limits per session

Options of some
  --fault KIND         herd: what becomes of a replica: ${FAULTS.join(', ')} (default kill)
  --pid N              herd: the process that this becomes of, with --url: of replicas on this machine, behind a balancer or not
  --freeze-seconds S   herd: how long it is frozen (default 30)
  --back-seconds S     herd: how long those who lost their connection are waited for (default 90)
  --stopping P         slow-readers: percent of the sessions that stop reading (default 10)
  --vanishing P        ghosts: percent of the sessions that vanish (default 30)
  --window N           slow-readers: publications open at once (default 256)
  --presence-seconds S churn, soak, ghosts: by when who has vanished must be gone (default: by the settings of what is
                       started; 60 for one that is there)
  --life S             churn, soak: how long a session stays, on average (default 10)

Exit code: 0; 1 if a check failed, or the load itself did; 2 if the options are wrong.
`;
}

/** @throws Error in words for the user */
export function readLoadOptions(args: readonly string[], scenarios: readonly Described[]): LoadCommand {
  const text = { type: 'string' } as const;
  const several = { type: 'string', multiple: true, default: [] as string[] } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', default: false },
      compare: { type: 'boolean', default: false },
      'allow-remote': { type: 'boolean', default: false },
      sessions: text,
      room: text,
      rate: text,
      seconds: text,
      processes: text,
      replicas: text,
      url: several,
      tcp: several,
      internal: several,
      pid: text,
      'presence-seconds': text,
      json: text,
      html: text,
      directory: text,
      transport: { ...text, default: 'ws' },
      engine: { ...text, default: 'uws' },
      fault: { ...text, default: 'kill' },
      addresses: { ...text, default: '4' },
      arrivals: { ...text, default: '1000' },
      'freeze-seconds': { ...text, default: '30' },
      'back-seconds': { ...text, default: '90' },
      stopping: { ...text, default: '10' },
      vanishing: { ...text, default: '30' },
      window: { ...text, default: '256' },
      life: { ...text, default: '10' },
    },
  });
  if (values.help) return { kind: 'help' };
  if (values.compare) {
    const [before, after, ...rest] = positionals;
    if (before === undefined || after === undefined || rest.length > 0) {
      throw new Error('--compare takes two files that --json has written');
    }
    return { kind: 'compare', files: [before, after], html: values.html };
  }
  if (positionals.length !== 1) throw new Error(`one scenario, of ${scenarios.map(({ name }) => name).join(', ')}`);
  const [scenario] = pick(scenarios, positionals, 'scenario') as [Described];
  const { defaults } = scenario;
  const number = (name: keyof typeof values, fallback: number, max: number, min = 1): number =>
    integer(`--${name}`, (values[name] as string | undefined) ?? String(fallback), max, min);
  const one = <T extends string>(name: keyof typeof values, all: readonly T[]): T => {
    const value = values[name] as string;
    if (!all.includes(value as T)) throw new Error(`--${name} is ${all.join(' or ')}, not "${value}"`);
    return value as T;
  };
  const sessions = number('sessions', defaults.sessions, SESSIONS_MAX);
  const options: LoadOptions = {
    scenario: scenario.name,
    given: readGiven(values),
    transport: one('transport', ['ws', 'tcp']),
    engine: one('engine', ENGINES),
    fault: one('fault', FAULTS),
    sessions,
    roomSize: number('room', Math.min(defaults.roomSize, sessions), ROOM_SIZE_MAX),
    rate: number('rate', defaults.rate, RATE_MAX),
    seconds: number('seconds', defaults.seconds, SECONDS_MAX),
    replicas: number('replicas', defaults.replicas, REPLICAS_MAX),
    processes: number('processes', defaults.processes, PROCESSES_MAX),
    addresses: number('addresses', 4, ADDRESSES_MAX),
    arrivals: number('arrivals', 1_000, ARRIVALS_MAX),
    pid: values.pid === undefined ? undefined : integer('--pid', values.pid, PID_MAX, 2),
    freezeSeconds: number('freeze-seconds', 30, FREEZE_SECONDS_MAX),
    backSeconds: number('back-seconds', 90, BACK_SECONDS_MAX),
    stopping: number('stopping', 10, 90),
    vanishing: number('vanishing', 30, 90),
    window: number('window', 256, WINDOW_MAX),
    lifeSeconds: number('life', 10, SECONDS_MAX),
    presenceSeconds:
      values['presence-seconds'] === undefined
        ? undefined
        : integer('--presence-seconds', values['presence-seconds'], SECONDS_MAX),
    json: values.json,
    html: values.html,
    directory: values.directory,
  };
  checkSizes(options);
  return { kind: 'run', options };
}

interface GivenValues {
  readonly url: readonly string[];
  readonly tcp: readonly string[];
  readonly internal: readonly string[];
  readonly 'allow-remote': boolean;
}

function readGiven({ url, tcp, internal, 'allow-remote': isRemoteAllowed }: GivenValues): GivenGateway | undefined {
  if (url.length + tcp.length === 0) {
    if (internal.length > 0) throw new Error('--internal is of a gateway that --url or --tcp names');
    return undefined;
  }
  const parse = (option: string, value: string, protocols: readonly string[]): URL => {
    if (!URL.canParse(value) || !protocols.includes(new URL(value).protocol)) {
      throw new Error(`${option} is a URL that begins with ${protocols.join('// or ')}//, not "${value}"`);
    }
    return new URL(value);
  };
  const urls = url.map((value) => parse('--url', value, ['ws:', 'wss:']));
  const internals = internal.map((value) => parse('--internal', value, ['http:', 'https:']));
  for (const address of tcp) {
    if (!/^[^:]+:\d+$/.test(address)) throw new Error(`--tcp is HOST:PORT, not "${address}"`);
  }
  const hosts = [...urls.map(({ hostname }) => hostname), ...tcp.map((address) => address.replace(/:\d+$/, ''))];
  const remote = hosts.find((host) => !LOOPBACK.test(host));
  if (remote !== undefined && !isRemoteAllowed) {
    throw new Error(`${remote} is another machine: --allow-remote says that it is yours to load`);
  }
  return { urls, tcp, internals };
}

/** @throws Error where there are not as many files to open */
function checkSizes({ sessions, roomSize, processes, scenario }: LoadOptions): void {
  const max = sessionsAllowed();
  if (sessions > max) {
    throw new Error(
      `--sessions ${sessions}: a process may open ${max} connections here, and a gateway must be able to hold all. ` +
        `ulimit -n ${sessions + 1_000} allows more, where the system lets you`,
    );
  }
  if (sessions < processes) throw new Error(`--sessions ${sessions} are too few for ${processes} processes`);
  if (scenario !== 'http' && sessions < roomSize) throw new Error(`--room ${roomSize} is more than all sessions`);
}
