import { parseArgs } from 'node:util';
import { BOUNDS } from '../protocol/bounds.ts';
import { isDevice, isPrintable, isRoom, isUser } from '../protocol/names.ts';

/** Not `TIDEGATE_…`: the gateway refuses to start where such a variable is set that it doesn't know. */
const TOKEN_VARIABLE = 'CHAT_TOKEN';

const DEFAULT_URL = 'ws://127.0.0.1:8080/ws';
/** Messages that a person is shown of what was said before; programs ask for them. */
const TERMINAL_HISTORY = 10;
const ONCE_WAIT_S = 60;
const WAIT_MAX_S = 1_000_000;

export const HELP = `tidegate chat: chat from a shell, over WebSocket

usage: tidegate chat [--url URL] [--room ROOM]... [--user NAME] [--device NAME] [--token JWT]
                     [--history N] [--once] [--json] [--wait SECONDS]

  --url URL        ws(s)://host[:port]/ws or http(s)://host[:port] of the gateway [${DEFAULT_URL}]
  --room ROOM      a room to join; may be given several times, the last one gets what is typed or piped in
  --user NAME      who you are where access is anonymous [a guest]
  --device NAME    which of your devices this is: who comes back with the same within 15 s was never away [a new one]
  --token JWT      a token, where access needs one; others on this machine can see it in the list of processes,
                   and not in the environment as ${TOKEN_VARIABLE}
  --history N      the last N messages of each room first, up to ${BOUNDS.historyMax} [${TERMINAL_HISTORY} at a terminal, else 0]
  --once           publish the standard input, read nothing of the room, and end when all is acknowledged
  --json           messages as JSON, one a line, and JSON values, one a line, to be published as they are
  --wait SECONDS   how long to try while the gateway can't be reached [${ONCE_WAIT_S} with --once, else for ever]

At a terminal you are in the rooms and in your own @user/ room; /help lists the commands, and what doesn't begin with
a slash is published. Ctrl-D or /quit waits up to 10 s for what is not acknowledged yet; Ctrl-C doesn't wait.

In a pipe each line of the standard input is published as {"text": line}; blank lines are not. Messages go to the
standard output, one a line, all the rest to the standard error. Without --once it goes on behind the end of its input,
until SIGINT or SIGTERM. The first line that is refused, or not acknowledged within a minute, ends it: what stands behind
that line is not read, though up to ${BOUNDS.publishesUnansweredMax} lines were on their way already and may have been published.

exit: 0 all acknowledged, or asked to end; 1 something refused or not acknowledged; 2 cannot understand the command
line; 3 the gateway can't be reached, or refuses or ends the session

For wss:// with a certificate authority of your own, set NODE_EXTRA_CA_CERTS to its PEM file. NO_COLOR turns colours off.
`;

/** What the command line asks for. */
export interface ChatOptions {
  /** ws:// or wss://, with a path. */
  readonly url: string;
  readonly rooms: readonly string[];
  readonly user: string | null;
  readonly device: string | null;
  readonly token: string | null;
  /** Of each room at its first join. */
  readonly history: number;
  readonly once: boolean;
  readonly json: boolean;
  /** null: for ever. */
  readonly waitMs: number | null;
  readonly isInteractive: boolean;
}

/** The command line is wrong; the message says how. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const OPTIONS = {
  url: { type: 'string' },
  room: { type: 'string', multiple: true },
  user: { type: 'string' },
  device: { type: 'string' },
  token: { type: 'string' },
  history: { type: 'string' },
  once: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  wait: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/**
 * Reads what stands behind `tidegate chat`; null: the help was asked for.
 *
 * @param isTerminal whether somebody sits at both the standard input and the standard output
 * @throws UsageError
 */
export function readCommandLine(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  isTerminal: boolean,
): ChatOptions | null {
  const { url = DEFAULT_URL, room: rooms = [], user, device, history, once, json, wait, help, ...given } = parse(args);
  if (help) return null;
  const isInteractive = isTerminal && !once && !json;
  const token = given.token ?? (env[TOKEN_VARIABLE] || undefined);
  for (const room of rooms) check(isRoom(room), `--room "${room}"`, nameForm(BOUNDS.roomBytesMax));
  check(user === undefined || isUser(user), `--user "${user}"`, nameForm(BOUNDS.userBytesMax));
  check(device === undefined || isDevice(device), `--device "${device}"`, nameForm(BOUNDS.deviceBytesMax));
  check(token === undefined || isPrintable(token, BOUNDS.tokenBytesMax), 'the token', 'a JWT');
  if (!isInteractive && rooms.length === 0) throw new UsageError('--room is missing, for what is read and published');
  if (once && history !== undefined) throw new UsageError('--history is for reading, and --once reads nothing');
  return {
    url: webSocketUrl(url),
    // A room that is named twice is where it was named last.
    rooms: [...new Set(rooms.toReversed())].reverse(),
    user: user ?? null,
    device: device ?? null,
    token: token ?? null,
    history: number('--history', history, 0, BOUNDS.historyMax) ?? (isInteractive ? TERMINAL_HISTORY : 0),
    once,
    json,
    waitMs: seconds(number('--wait', wait, 1, WAIT_MAX_S) ?? (once ? ONCE_WAIT_S : null)),
    isInteractive,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** The gateway's own page is at http://host:port/, so that its address will do, too. */
function webSocketUrl(given: string): string {
  const url = URL.parse(given);
  const scheme = { 'ws:': 'ws:', 'wss:': 'wss:', 'http:': 'ws:', 'https:': 'wss:' }[url?.protocol ?? ''];
  const isPlain = url !== null && url.username === '' && url.password === '' && url.hash === '';
  if (scheme === undefined || !isPlain) {
    throw new UsageError(`--url "${given}" is not valid; expected one such as ${DEFAULT_URL} or https://chat.example`);
  }
  const path = url.pathname === '/' ? '/ws' : url.pathname;
  return `${scheme}//${url.host}${path}${url.search}`;
}

function number(option: string, given: string | undefined, min: number, max: number): number | null {
  if (given === undefined) return null;
  const value = Number(given);
  check(/^\d+$/.test(given) && value >= min && value <= max, `${option} "${given}"`, `a number from ${min} to ${max}`);
  return value;
}

function seconds(count: number | null): number | null {
  return count === null ? null : count * 1_000;
}

function nameForm(bytesMax: number): string {
  return `1–${bytesMax} of letters, digits and _ . : @ / -`;
}

function check(isRight: boolean, what: string, expected: string): void {
  if (!isRight) throw new UsageError(`${what} is not valid; expected ${expected}`);
}
