import { BOUNDS } from '../protocol/bounds.ts';
import { isRoom, isUser } from '../protocol/names.ts';
import { STATUSES, type Status } from '../protocol/presence-state.ts';

/** Messages that `/history` shows without a number. */
const HISTORY = 20;

export const COMMANDS = [
  '/join ROOM              join a room; what you type goes to the room joined last',
  '/leave [ROOM]           leave the current room, or another one',
  '/msg USER TEXT          a direct message',
  '/who [ROOM|USER]        who is here, or how somebody is',
  '/status online|away|dnd [TEXT]',
  '/history [N]            the last N messages of the current room',
  '/ping                   is anybody there?',
  '/quit                   goodbye',
  '//TEXT                  say /TEXT',
];

/** What a person wants who has typed a line. */
export type Typed =
  | { readonly wish: 'say'; readonly text: string }
  | { readonly wish: 'join'; readonly room: string }
  /** `room: null`: the current one; so everywhere here. */
  | { readonly wish: 'leave'; readonly room: string | null }
  | { readonly wish: 'message'; readonly user: string; readonly text: string }
  | { readonly wish: 'who'; readonly name: string | null }
  | { readonly wish: 'status'; readonly status: Status; readonly text: string | undefined }
  | { readonly wish: 'history'; readonly limit: number }
  | { readonly wish: 'ping' | 'help' | 'quit' }
  /** It cannot be understood; the message says why. */
  | { readonly wish: 'nothing'; readonly message: string };

/** Reads a line that was typed at a terminal; null: it is blank. */
export function readTyped(line: string): Typed | null {
  const typed = line.trimEnd();
  if (typed.trimStart() === '') return null;
  if (!typed.startsWith('/')) return { wish: 'say', text: typed };
  if (typed.startsWith('//')) return { wish: 'say', text: typed.slice(1) };
  const [command = '', ...args] = typed.split(/\s+/);
  const rest = typed.slice(command.length).trimStart();
  switch (command) {
    case '/join':
      return join(args);
    case '/leave':
      return leave(args);
    case '/msg':
      return message(args, rest);
    case '/who':
      return who(args);
    case '/status':
      return status(args, rest);
    case '/history':
      return history(args);
    case '/ping':
    case '/help':
    case '/quit':
      return { wish: command.slice(1) as 'ping' | 'help' | 'quit' };
    default:
      return nothing(`unknown command ${command}; /help lists them, and // says something with a slash`);
  }
}

function join([room, ...others]: readonly string[]): Typed {
  if (room === undefined || others.length > 0) return nothing('usage: /join ROOM');
  if (!isRoom(room)) return nothing(`a room is 1–${BOUNDS.roomBytesMax} of letters, digits and _ . : @ / -`);
  return { wish: 'join', room };
}

function leave([room, ...others]: readonly string[]): Typed {
  return others.length > 0 ? nothing('usage: /leave [ROOM]') : { wish: 'leave', room: room ?? null };
}

function message([user, first]: readonly string[], rest: string): Typed {
  if (user === undefined || first === undefined) return nothing('usage: /msg USER TEXT');
  if (!isUser(user) || !isRoom(`@user/${user}`)) return nothing(`${user} is no user's name`);
  return { wish: 'message', user, text: rest.slice(user.length).trimStart() };
}

function who([name, ...others]: readonly string[]): Typed {
  if (others.length > 0) return nothing('usage: /who [ROOM|USER]');
  if (name !== undefined && !isRoom(name)) return nothing(`${name} is no name of a room or user`);
  return { wish: 'who', name: name ?? null };
}

function status([status]: readonly string[], rest: string): Typed {
  const known = STATUSES.find((each) => each === status);
  if (known === undefined) return nothing('usage: /status online|away|dnd [TEXT]');
  const text = rest.slice(known.length).trim();
  if (Buffer.byteLength(text) > BOUNDS.statusTextBytesMax) {
    return nothing(`longer than ${BOUNDS.statusTextBytesMax} bytes`);
  }
  return { wish: 'status', status: known, text: text === '' ? undefined : text };
}

function history([count, ...others]: readonly string[]): Typed {
  const limit = count === undefined ? HISTORY : Number(count);
  if (others.length > 0 || !Number.isInteger(limit) || limit < 1 || limit > BOUNDS.historyMax) {
    return nothing(`usage: /history [1–${BOUNDS.historyMax}]`);
  }
  return { wish: 'history', limit };
}

function nothing(message: string): Typed {
  return { wish: 'nothing', message };
}
