import type { Duplex } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import type { WebSocket } from 'ws';
import type { Gap, Position } from '../../../src/protocol/position.ts';
import type { Ending, Fault, Point } from './faults.ts';
import type { HostileServer } from './hostile-server.ts';
import { HostileSocket } from './hostile-socket.ts';
import type { Entry, ModelPage, ModelRoom } from './model-room.ts';
import { RoomChannel, type Telling } from './room-channel.ts';
import { errorReply, messagePush, okReply, pageReply } from './wire-words.ts';

/** Messages that a client asks for when it catches up, and no program of these tests does. */
const PAGE_MAX = 300;

interface Membership {
  state: 'live' | 'catching_up' | 'suspended';
  /** Up to where the client was told, or is about to be. */
  position: Position;
  /** Where the last page that it asked for by itself ended. */
  pageEnd: Position;
}

/** A line of a client's. */
interface Command {
  readonly op: string;
  readonly id: number;
  readonly room?: string;
  readonly mid?: string;
  readonly data?: unknown;
  readonly after?: unknown;
  readonly since?: Position;
  readonly history?: number;
  readonly limit?: number;
  readonly user?: string;
}

/** One connection: what a truthful server would say on it, and the faults on the way. */
export class HostileConnection {
  readonly client: string;
  readonly #server: HostileServer;
  readonly #socket: HostileSocket;
  readonly #memberships = new Map<string, Membership>();
  readonly #channels = new Map<string, RoomChannel>();
  readonly #failed = new Set<string>();
  readonly #ids = new Set<number>();
  readonly #pushed: string[] = [];
  #publishesUnanswered = 0;
  #isWelcome = false;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(server: HostileServer, client: string, ws: WebSocket, socket: Duplex) {
    this.#server = server;
    this.client = client;
    this.#socket = new HostileSocket(ws, socket, () => this.#over());
    ws.on('message', (data, isBinary) => this.#receive(String(data), isBinary));
  }

  opened(): void {
    this.#after('open');
  }

  /** Publishes wait for their replies, perhaps for ever. */
  get isOwing(): boolean {
    return this.#socket.isMute || this.#publishesUnanswered > 0;
  }

  /** Whether the client is in the room, live or not. */
  isIn(room: ModelRoom): boolean {
    return this.#memberships.has(room.name);
  }

  /** Tells of what was just appended, if the client is to hear of it. */
  hear(room: ModelRoom, entry: Entry): void {
    const membership = this.#memberships.get(room.name);
    if (membership === undefined || membership.state === 'suspended') return;
    const line = messagePush(room, entry);
    const isLive = membership.state === 'live';
    const fault = this.#fault(isLive ? 'push' : 'withheld');
    if (this.#hasEnded(fault, line)) return;
    switch (fault?.do) {
      case 'resync':
        this.resync(room, undefined, fault.overtakes, fault.twice);
        return;
      case 'resync_gap': {
        room.deleteThrough(entry.offset);
        const gap = { from: membership.position, to: { epoch: room.log.epoch, offset: entry.offset } };
        this.resync(room, gap, false);
        return;
      }
      case 'left':
        this.#memberships.delete(room.name);
        this.#tell(room.name, 'push', JSON.stringify({ push: 'left', room: room.name, code: fault.code }));
        return;
    }
    if (!isLive && fault?.do !== 'premature') return;
    if (isLive) membership.position = { epoch: room.log.epoch, offset: entry.offset };
    this.#tell(room.name, 'push', line, fault, () => {
      this.#pushed.push(line);
      this.#after('pushed');
    });
    if (fault?.do === 'repeat') this.#repeat(room.name);
  }

  /** Takes the room's place from the client, if it has one. */
  resync(room: ModelRoom, gap: Gap | undefined, overtakes: boolean, twice = false): void {
    const membership = this.#memberships.get(room.name);
    if (membership === undefined || membership.state === 'suspended') return;
    membership.state = 'suspended';
    membership.position = gap?.to ?? membership.position;
    this.#server.gapTold(this.client, room.name, gap);
    const line = JSON.stringify({ push: 'resync', room: room.name, position: membership.position, gap });
    const telling: Telling = { kind: 'push', line: twice ? `${line}\n${line}` : line, delayMs: 0 };
    if (overtakes) this.#channel(room.name).overtake(telling);
    else this.#channel(room.name).add(telling);
  }

  end(ending: Ending, line = '{"push":"message","room":"r1","epoch":"half"}'): void {
    this.#socket.end(ending, line);
  }

  #over(): void {
    clearInterval(this.#heartbeat);
    for (const channel of this.#channels.values()) channel.stop();
    this.#memberships.clear();
    this.#server.over(this);
  }

  #fault(point: Point): Fault | null {
    return this.#socket.isOver ? null : this.#server.faults.at(point, this.client);
  }

  /** Ends the connection if that is the fault; false: it goes on, perhaps without a word, and what has come counts. */
  #hasEnded(fault: Fault | null, line?: string): boolean {
    if (fault?.do === 'end') this.end(fault.ending, line);
    return this.#socket.isDeaf;
  }

  /** What goes wrong behind something that was said. */
  #after(point: Point): void {
    const fault = this.#fault(point);
    if (fault?.do === 'end') this.end(fault.ending);
    else if (fault?.do === 'noise') this.#socket.say(fault.said);
    else if (fault?.do === 'repeat') this.#socket.say(this.#pushed.at(-2) ?? this.#pushed.at(-1) ?? '');
  }

  #receive(text: string, isBinary: boolean): void {
    if (this.#socket.isDeaf) return;
    if (isBinary) this.#server.breach(this.client, 'a binary message');
    if (Buffer.byteLength(text) > this.#server.limits.frameBytesMax) this.#server.breach(this.client, 'a big message');
    for (const line of text.split('\n')) {
      if (this.#socket.isOver) return;
      this.#execute(JSON.parse(line) as Command, line);
    }
  }

  #execute(command: Command, line: string): void {
    const { op, id } = command;
    if (op === 'pong') return;
    if (this.#ids.has(id)) this.#server.breach(this.client, `the same id again: ${line}`);
    this.#ids.add(id);
    if (!this.#isWelcome && op !== 'connect') this.#server.breach(this.client, `before connect's reply: ${line}`);
    switch (op) {
      case 'connect':
        this.#connect(command);
        break;
      case 'join':
        this.#join(command, this.#server.room(command.room));
        break;
      case 'history':
        this.#history(command, this.#server.room(command.room));
        break;
      case 'leave':
        this.#leave(command, command.room ?? '');
        break;
      case 'publish':
        this.#publish(command, this.#server.room(command.room), line);
        break;
      case 'ping':
        this.#socket.say(okReply(id, { serverMs: Date.now() }));
        break;
      default:
        this.#server.breach(this.client, `unknown: ${line}`);
    }
  }

  #connect({ id, user }: Command): void {
    if (user !== this.client) this.#server.breach(this.client, `connects as ${user}`);
    const fault = this.#fault('connect');
    if (this.#hasEnded(fault)) return;
    if (fault?.do === 'refuse') this.#socket.say(errorReply(id, fault));
    else this.#socket.later(fault?.do === 'delay' ? fault.ms : 0, () => this.#welcome(id));
  }

  #welcome(id: number): void {
    this.#isWelcome = true;
    this.#server.replace(this);
    const fault = this.#fault('connected');
    const ticket = fault?.do === 'ticket' ? fault.ticket : undefined;
    if (ticket !== undefined) this.#server.tickets.gave(this.client, ticket);
    const reply = okReply(id, this.#server.welcome(this.client, ticket));
    this.#socket.say(reply);
    if (fault?.do === 'twice') this.#socket.say(reply);
    else if (fault?.do === 'noise') this.#socket.say(fault.said);
    else if (fault?.do === 'end') this.end(fault.ending);
    if (this.#socket.isOver || this.#server.heartbeatRealMs === 0) return;
    this.#heartbeat = setInterval(() => this.#socket.say('{"push":"heartbeat"}'), this.#server.heartbeatRealMs);
  }

  #join({ id, since, history }: Command, room: ModelRoom): void {
    const known = this.#memberships.get(room.name);
    if (known !== undefined && known.state !== 'suspended') {
      const error = { code: 'already_joined', message: 'room: it is joined already' };
      this.#tell(room.name, 'reply', JSON.stringify({ id, error }));
      return;
    }
    const fault = this.#fault('join');
    if (this.#hasEnded(fault)) return;
    if (fault?.do === 'refuse') this.#tell(room.name, 'reply', errorReply(id, fault));
    else {
      const page = since === undefined ? room.newest(history ?? 0) : this.#page(room, since, PAGE_MAX, fault);
      const membership: Membership = { state: 'live', position: page.position, pageEnd: page.position };
      settle(membership, page);
      this.#memberships.set(room.name, membership);
      if (since === undefined) this.#server.started(this.client, room.name, page.position);
      const recovered = since !== undefined && page.gap === undefined;
      const reply = okReply(id, { recovered, ...pageReply(room.name, page) });
      this.#tell(room.name, 'reply', reply, fault, () => this.#after('joined'));
    }
  }

  #history({ id, after, limit = 0 }: Command, room: ModelRoom): void {
    const fault = this.#fault('page');
    if (this.#hasEnded(fault)) return;
    if (fault?.do === 'refuse') {
      this.#tell(room.name, 'page', errorReply(id, fault));
      return;
    }
    const membership = this.#memberships.get(room.name);
    const isOwn = limit === PAGE_MAX && membership !== undefined;
    if (isOwn && !isDeepStrictEqual(after, membership.pageEnd)) {
      this.#server.breach(this.client, `asks for what is behind ${JSON.stringify(after)}`);
    }
    const page = this.#page(room, after as Position, limit, fault);
    if (isOwn) membership.pageEnd = page.position;
    if (membership?.state === 'catching_up') settle(membership, page);
    this.#tell(room.name, 'page', okReply(id, pageReply(room.name, page)), fault, () => this.#after('paged'));
  }

  #page(room: ModelRoom, after: Position, limit: number, fault: Fault | null): ModelPage {
    const most = fault?.do === 'short' ? fault.limit : this.#server.pageMax;
    const page = room.read(after, Math.min(limit, most < 0 ? limit : most));
    this.#server.gapTold(this.client, room.name, page.gap);
    return most < 0 ? { ...page, more: true } : page;
  }

  #leave({ id }: Command, room: string): void {
    const fault = this.#fault('leave');
    if (this.#hasEnded(fault)) return;
    const wasIn = fault?.do !== 'refuse' && this.#memberships.delete(room);
    let reply = JSON.stringify({ id, error: { code: 'not_joined', message: 'room: not joined' } });
    if (fault?.do === 'refuse') reply = errorReply(id, fault);
    else if (wasIn) reply = okReply(id, { room });
    if (fault?.do !== 'delay') this.#tell(room, 'reply', reply);
    // Behind all of the visit that is over, and perhaps also of the next one.
    else this.#tell(room, 'reply', '', null, () => this.#socket.later(fault.ms, () => this.#socket.say(reply)));
  }

  #publish({ id, mid, data, after }: Command, room: ModelRoom, line: string): void {
    const key = `${room.name} ${mid}`;
    this.#publishesUnanswered += 1;
    if (this.#publishesUnanswered > this.#server.limits.publishesUnansweredMax) {
      this.#server.breach(this.client, `${this.#publishesUnanswered} publishes at a time`);
    }
    if (mid === undefined || room.isConflict(this.client, mid, line.slice(line.indexOf(',"data":')))) {
      this.#server.breach(this.client, `other data with the same mid: ${line}`);
      return;
    }
    this.#failed.delete(key);
    if (after !== undefined && this.#failed.has(`${room.name} ${after}`)) {
      this.#refusePublish(id, key, { do: 'refuse', code: 'overloaded', retryAfterMs: 100 });
      return;
    }
    const isKnown = room.find(this.client, mid) !== undefined;
    const fault = this.#fault('publish');
    if (this.#hasEnded(fault)) return;
    if (fault?.do === 'append_late') {
      this.end({ by: 'reset' });
      const { epoch } = room.log;
      this.#server.later(fault.ms, () => {
        const isDone = room.log.epoch !== epoch || room.find(this.client, mid) !== undefined;
        if (!isDone) this.#server.append(room, this.client, mid, data);
      });
    } else if (fault?.do === 'refuse' && (fault.code !== 'forbidden' || this.#server.mayForbid(this.client, mid))) {
      this.#refusePublish(id, key, fault);
    } else {
      // The log may be another one when the message has been told.
      const { epoch } = room.log;
      const { offset } = room.find(this.client, mid) ?? this.#server.append(room, this.client, mid, data);
      this.#answerPublish(id, key, { room: room.name, mid, epoch, offset, duplicate: isKnown });
    }
    this.#server.tried(this.client, mid);
  }

  #answerPublish(id: number, key: string, ok: object): void {
    const fault = this.#fault('appended');
    if (this.#hasEnded(fault)) return;
    if (fault?.do === 'refuse') this.#refusePublish(id, key, fault);
    else {
      this.#socket.later(fault?.do === 'delay' ? fault.ms : 0, () => {
        this.#publishesUnanswered -= 1;
        this.#sayWith(okReply(id, ok), fault);
        this.#after('acked');
      });
    }
  }

  #refusePublish(id: number, key: string, refusal: Fault & { do: 'refuse' }): void {
    this.#failed.add(key);
    this.#publishesUnanswered -= 1;
    this.#socket.say(errorReply(id, refusal));
  }

  #repeat(room: string): void {
    const older = this.#pushed.at(-2) ?? this.#pushed.at(-1);
    if (older !== undefined) this.#tell(room, 'push', older);
  }

  /** Says something of a room behind all that is to be said of it. */
  #tell(room: string, kind: Telling['kind'], line: string, fault: Fault | null = null, onSaid?: () => void): void {
    const say = () => {
      if (fault?.do === 'twice') this.#socket.say(line);
      onSaid?.();
    };
    const delayMs = fault?.do === 'delay' ? fault.ms : 0;
    if (fault?.do === 'noise') this.#socket.say(fault.said);
    if (fault?.do === 'gather') this.#socket.gather(fault.ms);
    this.#channel(room).add({ kind, line, delayMs, onSaid: say });
  }

  #sayWith(line: string, fault: Fault | null): void {
    if (fault?.do === 'gather') this.#socket.gather(fault.ms);
    this.#socket.say(line);
    if (fault?.do === 'twice') this.#socket.say(line);
  }

  #channel(room: string): RoomChannel {
    let channel = this.#channels.get(room);
    if (channel === undefined) {
      channel = new RoomChannel((line) => this.#socket.say(line));
      this.#channels.set(room, channel);
    }
    return channel;
  }
}

/** The client is where the page ends, in the moment in which it is made. */
function settle(membership: Membership, { position, more }: ModelPage): void {
  membership.state = more ? 'catching_up' : 'live';
  membership.position = position;
}
