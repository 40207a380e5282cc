import { isUtf8 } from 'node:buffer';
import { randomBytes, randomUUID } from 'node:crypto';
import { BOUNDS } from './bounds.ts';
import type { Command } from './commands.ts';
import type { Dialect, Framing, Input } from './dialect.ts';
import { DISCONNECTS, type DisconnectReason } from './disconnects.ts';
import { CommandError } from './errors.ts';
import { isPrintable, isRoom, isUser } from './names.ts';
import type { Gap, Position } from './position.ts';
import type { LeftCode } from './presence-push.ts';
import { STATUSES, type Status } from './presence-state.ts';
import type {
  ConnectReply,
  HistoryReply,
  JoinReply,
  PublishReply,
  RepliedOp,
  Replies,
  RoomPresenceReply,
  UserPresenceReply,
} from './replies.ts';
import {
  gapLines,
  HELP,
  historyLines,
  messageLine,
  publishedLines,
  roomPresenceLines,
  userLines,
  userPresenceLines,
  whoLines,
  words,
} from './text-words.ts';

const LF = Buffer.from('\n');
/** Messages that `/join` shows of what was said before, and `/history` without a number. */
const JOIN_HISTORY = 10;
const HISTORY = 20;

/** Lines of words: what a person with netcat reads. */
const text: Framing = {
  name: 'text',
  message: (publication) => Buffer.from(messageLine(publication)),
  roomPresence: roomPresenceLines,
  userPresence: userPresenceLines,
  signal: () => null,
  frame(payloads) {
    const parts: Buffer[] = [];
    for (const payload of payloads) parts.push(payload, LF);
    return Buffer.concat(parts);
  },
};

/** What is said to somebody who has connected and is silent; NDJSON clients skip lines that start with `#`. */
export const GREETING = text.frame(
  words(
    '# tidegate: chat here. First line: /join ROOM, or /connect NAME to be called something.',
    '# /help lists what else there is. Programs speak JSON, one object a line.',
  ),
);

/** What a command that a line came to still has to say when its reply comes. */
interface Pending {
  readonly op: Command['op'];
  readonly room: string | null;
  /** Done on the person's behalf: neither success nor failure is worth a word. */
  readonly silent: boolean;
  /** Shared by the two commands that find out whether `/who NAME` means a room or a user. */
  readonly who?: { isRoom: boolean };
}

/**
 * Text mode: turns a person's lines into commands, and replies and pushes into words. It holds what JSON clients
 * remember by themselves: the name, the current room, and which reply belongs to what.
 */
export class TextDialect implements Dialect {
  readonly framing = text;
  readonly hasHeartbeats = false;
  #connected = false;
  #user = '';
  /** Rooms joined by hand, in order; the last one is current. */
  #rooms: string[] = [];
  #nextId = 0;
  readonly #pending = new Map<number, Pending>();

  read(line: Buffer): readonly Input[] {
    if (!isUtf8(line)) return [refusal(null, 'bad_request', 'the line is not UTF-8')];
    const typed = line.toString('utf8').trimEnd();
    if (typed.trimStart() === '') return [];
    if (!typed.startsWith('/')) return this.#say(typed);
    const [command = '', ...args] = typed.split(/\s+/);
    const rest = typed.slice(command.length).trimStart();
    switch (command) {
      case '/connect':
      case '/nick':
        return this.#connect(args);
      case '/join':
        return this.#join(args);
      case '/leave':
        return this.#leave();
      case '/msg':
        return this.#message(args, rest);
      case '/who':
        return this.#who(args);
      case '/status':
        return this.#status(args, rest);
      case '/history':
        return this.#history(args);
      case '/ping':
        return [...this.#ensureConnected(), this.#command({ op: 'ping' })];
      case '/help':
        return [{ words: words(...HELP.map((help) => `# ${help}`)) }];
      case '/quit':
        return [this.#command({ op: 'quit' })];
      default:
        return [refuse(`unknown command ${command}; /help lists them`)];
    }
  }

  reply<Op extends RepliedOp>(op: Op, id: number, ok: Replies[Op]): readonly Buffer[] {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    switch (op) {
      case 'connect':
        return pending?.silent ? words(`# you are ${(ok as ConnectReply).user}`) : this.#welcome(ok as ConnectReply);
      case 'join':
        return pending?.silent ? [] : this.#joined(ok as JoinReply);
      case 'leave':
        return this.#left(pending?.room ?? '');
      case 'publish':
        return publishedLines(ok as PublishReply, this.#rooms);
      case 'presence':
        return 'users' in ok ? whoReply(pending, ok as RoomPresenceReply) : userReply(pending, ok as UserPresenceReply);
      case 'status':
        return words(`# you are ${(ok as Replies['status']).status} now`);
      case 'history':
        return historyLines(ok as HistoryReply);
      default:
        return words('# pong');
    }
  }

  error(id: number | null, { code, message, retryAfterMs }: CommandError): readonly Buffer[] {
    const pending = id === null ? undefined : this.#pending.get(id);
    if (id !== null) this.#pending.delete(id);
    if (pending?.op === 'connect') this.#connected = false;
    if (pending?.op === 'join') this.#rooms = this.#rooms.filter((room) => room !== pending.room);
    if ((pending?.silent && pending.op !== 'connect') || pending?.who?.isRoom) return [];
    const retry = retryAfterMs === undefined ? '' : ` (again in ${retryAfterMs} ms)`;
    return words(`! ${code}: ${message}${retry}`);
  }

  resync(room: string, _position: Position, gap: Gap | undefined): readonly Buffer[] {
    return words(`# [${room}] ${gap ? 'messages were lost' : 'was interrupted'}: /join ${room} to go on`);
  }

  left(room: string, code: LeftCode): readonly Buffer[] {
    this.#rooms = this.#rooms.filter((other) => other !== room);
    const why = code === 'kicked' ? 'you were removed' : 'you may no longer be there';
    return words(`# left [${room}]: ${why}`);
  }

  heartbeat(): readonly Buffer[] {
    return [];
  }

  disconnect(reason: DisconnectReason, afterMs: number | null, said: string = reason): readonly Buffer[] {
    const { code, meaning } = DISCONNECTS[reason];
    const again = afterMs === null ? '' : `; come back in ${Math.ceil(afterMs / 1000)} s`;
    return words(`! disconnected: ${meaning} (${code} ${said})${again}`);
  }

  #say(typed: string): readonly Input[] {
    const room = this.#rooms.at(-1);
    if (room === undefined) return [refusal(0, 'not_joined', 'no room yet: /join ROOM first, /help for more')];
    return [this.#publish(room, typed)];
  }

  #connect([user, token, ...others]: readonly string[]): readonly Input[] {
    if (user === undefined || others.length > 0) return [refuse('usage: /connect NAME [TOKEN]')];
    if (token !== undefined && !isPrintable(token, BOUNDS.tokenBytesMax)) return [refuse('this is no token')];
    if (!isUser(user)) return [refuse(`a name is 1–${BOUNDS.userBytesMax} of letters, digits and _ . : @ / -`)];
    if (this.#connected) return [refuse(`you are ${this.#user} already; /quit and come again to change that`)];
    return this.#connectAs(user, token, false);
  }

  #join([room, ...others]: readonly string[]): readonly Input[] {
    if (room === undefined || others.length > 0) return [refuse('usage: /join ROOM')];
    if (!isRoom(room)) return [refuse(`a room is 1–${BOUNDS.roomBytesMax} of letters, digits and _ . : @ / -`)];
    const inputs = this.#ensureConnected();
    const joined = this.#rooms.includes(room);
    // Current from now on, not from the reply on: lines may be pasted faster than the log answers.
    this.#rooms = [...this.#rooms.filter((other) => other !== room), room];
    if (joined) return [{ words: words(`# back in [${room}]`) }];
    return [
      ...inputs,
      this.#command({ op: 'join', room, history: JOIN_HISTORY, presence: 'full', presenceIfGranted: true }),
    ];
  }

  #leave(): readonly Input[] {
    const room = this.#rooms.at(-1);
    if (room === undefined) return [refusal(0, 'not_joined', 'you are in no room')];
    this.#rooms.pop();
    return [this.#command({ op: 'leave', room })];
  }

  #message([user, first]: readonly string[], rest: string): readonly Input[] {
    if (user === undefined || first === undefined) return [refuse('usage: /msg USER TEXT')];
    const room = `@user/${user}`;
    if (!isUser(user) || !isRoom(room)) return [refuse(`${user} is no user's name`)];
    return [...this.#ensureConnected(), this.#publish(room, rest.slice(user.length).trimStart())];
  }

  /** Without a name the current room's people; a joined room's; else whatever the name turns out to be. */
  #who([named, ...others]: readonly string[]): readonly Input[] {
    if (others.length > 0) return [refuse('usage: /who [ROOM|USER]')];
    const room = named ?? this.#rooms.at(-1);
    if (room === undefined) return [refusal(0, 'not_joined', 'no room yet: /join ROOM first')];
    if (!isRoom(room) && !isUser(room)) return [refuse(`${room} is no name of a room or user`)];
    const inputs = this.#ensureConnected();
    if (this.#rooms.includes(room)) return [...inputs, this.#command({ op: 'presence', room })];
    const who = { isRoom: false };
    if (isRoom(room)) inputs.push(this.#command({ op: 'presence', room }, { silent: true, who }));
    if (isUser(room)) inputs.push(this.#command({ op: 'presence', user: room }, { who }));
    return inputs;
  }

  #status([status]: readonly string[], rest: string): readonly Input[] {
    if (!isStatus(status)) return [refuse('usage: /status online|away|dnd [TEXT]')];
    const said = rest.slice(status.length).trim();
    if (Buffer.byteLength(said) > BOUNDS.statusTextBytesMax) {
      return [refuse(`longer than ${BOUNDS.statusTextBytesMax} bytes`)];
    }
    return [...this.#ensureConnected(), this.#command({ op: 'status', status, ...(said !== '' && { text: said }) })];
  }

  #history([count, ...others]: readonly string[]): readonly Input[] {
    const limit = count === undefined ? HISTORY : Number(count);
    if (others.length > 0 || !Number.isInteger(limit) || limit < 1 || limit > BOUNDS.historyMax) {
      return [refuse(`usage: /history [1–${BOUNDS.historyMax}]`)];
    }
    const room = this.#rooms.at(-1);
    if (room === undefined) return [refusal(0, 'not_joined', 'no room yet: /join ROOM first')];
    return [this.#command({ op: 'history', room, limit })];
  }

  #publish(room: string, typed: string): Input {
    const data = JSON.stringify({ text: typed });
    if (Buffer.byteLength(data) > BOUNDS.dataBytesMax) return refuse(`longer than ${BOUNDS.dataBytesMax} bytes`);
    return this.#command({ op: 'publish', room, mid: randomUUID(), data });
  }

  #ensureConnected(): Input[] {
    return this.#connected ? [] : this.#connectAs(`guest-${randomBytes(4).toString('hex')}`, undefined, true);
  }

  #connectAs(user: string, token: string | undefined, silent: boolean): Input[] {
    this.#connected = true;
    this.#user = user;
    // Direct messages reach a person without a word of theirs.
    const ownRoom = `@user/${user}`;
    const inputs = [this.#command({ op: 'connect', user, ...(token !== undefined && { token }) }, { silent })];
    if (isRoom(ownRoom)) inputs.push(this.#command({ op: 'join', room: ownRoom, visible: false }, { silent: true }));
    return inputs;
  }

  #command(
    fields: DistributiveOmit<Exclude<Command, { op: 'pong' }>, 'id'>,
    more: Partial<Pick<Pending, 'silent' | 'who'>> = {},
  ): Input {
    this.#nextId += 1;
    const room = 'room' in fields ? fields.room : null;
    this.#pending.set(this.#nextId, { op: fields.op, room: room ?? null, silent: false, ...more });
    return { command: { ...fields, id: this.#nextId } };
  }

  #welcome({ user }: ConnectReply): readonly Buffer[] {
    return words(`# you are ${user}; /join ROOM to chat, /help for more`);
  }

  #joined(reply: JoinReply): readonly Buffer[] {
    const joined = words(`# joined [${reply.room}] as ${this.#user}; what you type goes there`);
    return [...joined, ...gapLines(reply), ...reply.messages.map(text.message)];
  }

  #left(room: string): readonly Buffer[] {
    const current = this.#rooms.at(-1);
    return words(`# left [${room}]${current === undefined ? '' : `; back in [${current}]`}`);
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

function isStatus(value: string | undefined): value is Status {
  return (STATUSES as readonly (string | undefined)[]).includes(value);
}

/** `/who NAME` asked of a room and of a user: a room that nobody is in is not worth a word. */
function whoReply(pending: Pending | undefined, reply: RoomPresenceReply): readonly Buffer[] {
  if (pending?.who !== undefined) {
    if (reply.count === 0) return [];
    pending.who.isRoom = true;
  }
  return whoLines(pending?.room ?? '', reply);
}

/** Nor is a user whom nobody has seen where the name is a room's. */
function userReply(pending: Pending | undefined, reply: UserPresenceReply): readonly Buffer[] {
  return pending?.who?.isRoom && reply.devices === 0 ? [] : userLines(reply);
}

function refuse(message: string): Input {
  return refusal(0, 'bad_request', message);
}

/** Id 0 is no command's: only `null` counts as a line that could not be read. */
function refusal(id: number | null, code: 'bad_request' | 'not_joined', message: string): Input {
  return { refusal: { id, error: new CommandError(code, message) } };
}
