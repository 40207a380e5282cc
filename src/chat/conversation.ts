import type { Client, ClientError, Room, UserPresence } from '../client/client.ts';
import { isRoom } from '../protocol/names.ts';
import { roomPresenceLines, userLines, whoLines } from '../protocol/text-words.ts';
import { COMMANDS, readTyped, type Typed } from './typed-line.ts';
import type { View } from './view.ts';
import { leftLine, quoted } from './words.ts';

type Talked = Pick<Client, 'connect' | 'session' | 'room' | 'presence' | 'status' | 'ping'>;

interface Asked {
  readonly client: Talked;
  readonly view: View & { prompt(room: string | null): void };
  /** Messages of a room that are shown at first. */
  readonly history: number;
  readonly onQuit: () => void;
}

/** What a person does at a terminal: the rooms they are in, and what they type. */
export class Conversation {
  readonly #client: Talked;
  readonly #view: Asked['view'];
  readonly #history: number;
  readonly #onQuit: () => void;
  /** Joined by hand, in order; the last one is current. */
  #rooms: string[] = [];
  /** Whose join was not answered yet. */
  readonly #joining = new Set<string>();
  readonly #heard = new WeakSet<Room>();
  readonly #publishes = new Set<Promise<unknown>>();

  constructor({ client, view, history, onQuit }: Asked) {
    this.#client = client;
    this.#view = view;
    this.#history = history;
    this.#onQuit = onQuit;
  }

  /** Messages that are neither acknowledged nor refused. */
  get unacknowledged(): number {
    return this.#publishes.size;
  }

  /** Connects, and joins these rooms and the person's own. */
  async begin(rooms: readonly string[]): Promise<void> {
    for (const room of rooms) this.#join(room);
    this.#view.prompt(this.#current);
    const { user } = await this.#client.connect();
    const inbox = `@user/${user}`;
    // A name may be so long that it has none.
    if (isRoom(inbox)) await this.#heardRoom(inbox).join({ visible: false });
  }

  /** Takes a line that was typed. */
  type(line: string): void {
    const typed = readTyped(line);
    if (typed !== null) this.#do(typed);
  }

  /** Resolves when all that was said is settled: with how many messages failed. */
  async settled(): Promise<number> {
    const outcomes = await Promise.allSettled(this.#publishes);
    return outcomes.filter(({ status }) => status === 'rejected').length;
  }

  get #current(): string | null {
    return this.#rooms.at(-1) ?? null;
  }

  #do(typed: Typed): void {
    switch (typed.wish) {
      case 'say':
        this.#inRoom(null, (room) => void this.#publish(room, typed.text));
        break;
      case 'message':
        this.#message(typed.user, typed.text);
        break;
      case 'join':
        this.#join(typed.room);
        break;
      case 'leave':
        this.#inRoom(typed.room, (room) => this.#leave(room));
        break;
      case 'who':
        this.#who(typed.name);
        break;
      case 'history':
        this.#inRoom(null, (room) => this.#tell(this.#readHistory(room, typed.limit)));
        break;
      case 'status':
        this.#tell(this.#client.status(typed.status, typed.text).then(() => [`# you are ${typed.status} now`]));
        break;
      case 'ping':
        this.#tell(this.#client.ping().then(() => ['# pong']));
        break;
      case 'help':
        for (const command of COMMANDS) this.#view.note(`# ${command}`);
        break;
      case 'quit':
        this.#onQuit();
        break;
      case 'nothing':
        this.#view.error(`bad_request: ${typed.message}`);
    }
  }

  /** Does something in a room that was joined; null: in the current one. */
  #inRoom(named: string | null, act: (room: string) => void): void {
    const room = named ?? this.#current;
    if (room === null) this.#view.error('not_joined: no room yet: /join ROOM first, /help for more');
    else if (!this.#rooms.includes(room)) this.#view.error(`not_joined: you are not in ${room}`);
    else act(room);
  }

  /** Resolves with whether it was acknowledged; why not is shown. */
  async #publish(room: string, text: string): Promise<boolean> {
    const publish = this.#client.room(room).publish({ text });
    this.#publishes.add(publish);
    try {
      await publish;
      return true;
    } catch (error) {
      this.#view.error(`${(error as Error).message}: ${quoted(text)}`);
      return false;
    } finally {
      this.#publishes.delete(publish);
    }
  }

  #message(user: string, text: string): void {
    const room = `@user/${user}`;
    // Who is in the room sees it come.
    const isSeen = user === this.#client.session?.user;
    this.#tell(this.#publish(room, text).then((isSent) => (isSent && !isSeen ? [`# sent to [${room}]`] : [])));
  }

  #join(name: string): void {
    const isJoined = this.#rooms.includes(name);
    this.#moveTo([...this.#rooms.filter((other) => other !== name), name]);
    if (isJoined) this.#view.note(`# back in [${name}]`);
    else this.#tell(this.#enter(name));
  }

  async #enter(name: string): Promise<readonly string[]> {
    const room = this.#heardRoom(name);
    const history = this.#history;
    this.#joining.add(name);
    try {
      await room.join({ history, presence: 'full' }).catch((error: ClientError) => {
        if (error.code !== 'forbidden') throw error;
        // To hear who is here needs a right of its own.
        return room.join({ history });
      });
    } catch (error) {
      this.#moveTo(this.#rooms.filter((other) => other !== name));
      throw error;
    } finally {
      this.#joining.delete(name);
    }
    return [`# joined [${name}] as ${this.#client.session?.user}; what you type goes there`];
  }

  #leave(name: string): void {
    this.#moveTo(this.#rooms.filter((other) => other !== name));
    const back = this.#current === null ? '' : `; back in [${this.#current}]`;
    this.#tell(
      this.#client
        .room(name)
        .leave()
        .then(() => [`# left [${name}]${back}`]),
    );
  }

  /** The room, whose events are shown from now on. */
  #heardRoom(name: string): Room {
    const room = this.#client.room(name);
    if (this.#heard.has(room)) return room;
    this.#heard.add(room);
    room.on('message', (message) => this.#view.message(message));
    room.on('gap', (gap) => this.#view.gap(name, gap));
    room.on('presence', ({ joined, left, changed }) => {
      // Who was here before oneself is not news.
      if (this.#joining.has(name)) return;
      for (const line of roomPresenceLines({ room: name, joined, left, changed })) this.#view.note(line.toString());
    });
    room.on('left', (why) => {
      // Who waits for the join is told by it.
      if (this.#joining.has(name)) return;
      this.#view.note(leftLine(name, why));
      this.#moveTo(this.#rooms.filter((other) => other !== name));
    });
    return room;
  }

  /** Of a room that one is in; else of whatever has that name, which may be a room, a user or both. */
  #who(named: string | null): void {
    if (named === null || this.#rooms.includes(named)) {
      this.#inRoom(named, (room) => this.#tell(this.#readRoom(room)));
    } else {
      this.#tell(this.#readAnybody(named));
    }
  }

  async #readRoom(name: string): Promise<readonly string[]> {
    return whoLines(name, await this.#client.room(name).presence()).map(String);
  }

  async #readAnybody(name: string): Promise<readonly string[]> {
    const [room, user] = await Promise.allSettled([this.#client.room(name).presence(), this.#client.presence(name)]);
    const isRoom = room.status === 'fulfilled' && room.value.count > 0;
    const lines = isRoom ? whoLines(name, room.value).map(String) : [];
    if (user.status === 'fulfilled' && (user.value.devices > 0 || !isRoom)) lines.push(...userWords(user.value));
    if (lines.length === 0 && user.status === 'rejected') throw user.reason;
    return lines;
  }

  async #readHistory(name: string, limit: number): Promise<readonly string[]> {
    const { messages, gap } = await this.#client.room(name).history({ limit });
    if (gap !== undefined) this.#view.gap(name, gap);
    for (const message of messages) this.#view.message(message);
    return [messages.length > 0 ? `# that was [${name}] (${messages.length})` : `# nothing was said in [${name}] yet`];
  }

  #moveTo(rooms: string[]): void {
    this.#rooms = rooms;
    this.#view.prompt(this.#current);
  }

  /** Shows lines when they are there, or why there are none. */
  #tell(lines: Promise<readonly string[]>): void {
    lines.then(
      (shown) => {
        for (const line of shown) this.#view.note(line);
      },
      (error: Error) => this.#view.error(error.message),
    );
  }
}

function userWords(presence: UserPresence): readonly string[] {
  return userLines({ ...presence, partial: false }).map(String);
}
