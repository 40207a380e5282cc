import { isDeepStrictEqual } from 'node:util';
import type { Message, Position } from '../../../src/client/client.ts';
import { RETRYABLE } from '../../../src/client/connection.ts';
import { type HostileServer, incarnationOf } from './hostile-server.ts';
import { type Entry, idOf, type ModelRoom } from './model-room.ts';
import { type Following, hasFailed, type Participant, type PublishRecord } from './participant.ts';

/** Everything that is wrong with what the participants were told and did, when all has settled. */
export function complaints(server: HostileServer, participants: readonly Participant[]): string[] {
  return [
    ...server.breaches,
    ...participants.flatMap((participant) => {
      const { name, client, watch, publishes, followings } = participant;
      const own = [
        ...(client.state.name === 'online' ? [] : [`is ${client.state.name}`]),
        ...participant.surprises,
        ...participant.errors.map((error) => `an error event: ${error}`),
        ...watch.breaches,
        ...publishes.flatMap((record) => aboutPublish(server.room(record.room), name, record)),
        ...[...followings.values()].flatMap((following) => {
          const walk = new Walk(server, name, following);
          return walk.complaints.map((what) => `${following.room.name}: ${what}`);
        }),
        ...[...server.rooms.values()].flatMap((room) => aboutOrder(room, participant)),
      ];
      return own.map((what) => `${name}: ${what}`);
    }),
  ];
}

function aboutPublish(room: ModelRoom, from: string, { mid, data, outcome }: PublishRecord): string[] {
  const places = room.incarnations.map(({ entries }) => entries.filter((entry) => isDeepStrictEqual(entry.data, data)));
  const found: string[] = [];
  if (outcome === null) return [`${mid} has no outcome`];
  // A log that began anew may have it again.
  if (places.some(({ length }) => length > 1)) found.push(`${mid} is in the log more than once`);
  const isThere = places.some(({ length }) => length > 0);
  if (!hasFailed(outcome)) {
    const entry = incarnationOf(room, outcome.epoch)?.entries.find(({ offset }) => offset === outcome.offset);
    const isIt = entry?.mid === mid && entry.from === from && isDeepStrictEqual(entry.data, data);
    const isSaid = outcome.mid === mid && outcome.room === room.name;
    if (!isIt || !isSaid) found.push(`${mid} resolved with ${JSON.stringify(outcome)}, where it is not`);
  } else if (RETRYABLE.includes(outcome.code)) {
    found.push(`${mid} was given up for ${outcome.code}`);
  } else if (isThere && !(outcome.code === 'timed_out' && outcome.wasSent)) {
    found.push(`${mid} failed with ${outcome}, and is in the log`);
  }
  return found;
}

/** In each log, what came through of one publisher stands in the order of the calls. */
function aboutOrder(room: ModelRoom, { name, publishes }: Participant): string[] {
  const calls = publishes.filter(({ outcome }) => !hasFailed(outcome)).map(({ mid }) => mid);
  return room.incarnations.flatMap(({ epoch, entries }) => {
    const turns = entries.filter(({ from }) => from === name).map(({ mid }) => calls.indexOf(mid));
    const resolved = turns.filter((turn) => turn >= 0);
    const isSorted = resolved.every((turn, i) => i === 0 || turn > (resolved[i - 1] ?? -1));
    return isSorted ? [] : [`${epoch}: messages stand in the order ${resolved}`];
  });
}

/** One room's events, gone through beside the log. */
class Walk {
  readonly complaints: string[] = [];
  readonly #server: HostileServer;
  readonly #client: string;
  readonly #room: ModelRoom;
  #place: Position | null;
  /** Ids of what was handed on since the room was joined by the program. */
  readonly #known = new Set<string>();

  constructor(server: HostileServer, client: string, following: Following) {
    this.#server = server;
    this.#client = client;
    this.#room = server.room(following.room.name);
    this.#place = following.options.since ?? null;
    for (const event of following.events) {
      switch (event.what) {
        case 'message':
          this.#message(event.message);
          break;
        case 'gap':
          this.#gap(event.gap);
          break;
        case 'started':
          if (!server.mayHaveStarted(client, this.#room.name, event.position)) this.#complain('began', event.position);
          this.#place = event.position;
          break;
        case 'rejoined':
          this.#join(event.since);
          // What lies before it is settled, and forgotten by the client as well.
          this.#place = event.since ?? null;
          this.#known.clear();
          break;
        case 'join':
          this.#join(event.since);
      }
    }
    this.#end(following);
  }

  #complain(...what: readonly unknown[]): void {
    const words = what.map((word) => (typeof word === 'string' ? word : JSON.stringify(word)));
    this.complaints.push(`${words.join(' ')} at ${JSON.stringify(this.#place)}`);
  }

  #message(message: Message): void {
    const { room, epoch, offset } = message;
    this.#place ??= { epoch, offset: offset - 1 };
    if (epoch !== this.#place.epoch) {
      this.#complain('without a gap', message);
    } else {
      if (offset <= this.#place.offset) this.#complain('again', message);
      this.#missed(offset - 1, 'before', message);
    }
    const entry = incarnationOf(this.#room, epoch)?.entries.find((entry) => entry.offset === offset);
    if (entry === undefined || room !== this.#room.name || !isSame(entry, message)) this.#complain('made up', message);
    if (this.#known.has(idOf(message))) this.#complain('twice', message);
    this.#known.add(idOf(message));
    this.#place = { epoch, offset };
  }

  #gap(gap: { readonly from: Position | null; readonly to: Position }): void {
    if (!this.#server.wasGapTold(this.#client, this.#room.name, gap)) this.#complain('a gap made up', gap);
    const place = this.#place;
    if (place === null) {
      this.#complain('a gap before anything', gap);
    } else if (gap.from === null) {
      if (this.#turnOf(gap.to) <= this.#turnOf(place)) this.#complain('a gap to an older log', gap);
    } else {
      if (gap.from.epoch !== place.epoch || gap.to.offset <= place.offset) this.#complain('a gap of no use', gap);
      this.#missed(gap.from.offset, 'before the gap', gap);
    }
    this.#place = gap.to;
  }

  /** A join begins where the last message was handed on, or where a page said that there was none behind it. */
  #join(since: Position | undefined): void {
    const place = this.#place;
    if (place === null || since === undefined) {
      if (place !== null || since !== undefined) this.#complain('a join with', since ?? 'no place');
    } else if (since.epoch !== place.epoch || since.offset < place.offset) {
      this.#complain('a join with', since);
    } else {
      this.#missed(since.offset, 'before a join with', since);
    }
  }

  /** What there was behind the place, up to and with an offset of the same log, had to be handed on. */
  #missed(through: number, ...what: readonly unknown[]): void {
    const from = this.#place?.offset ?? -1;
    const entries = incarnationOf(this.#room, this.#place?.epoch ?? '')?.entries ?? [];
    const missed = entries.filter(({ offset }) => offset > from && offset <= through);
    const unknown = missed.filter((entry) => !this.#known.has(idOf(entry)));
    if (unknown.length > 0) this.#complain('nothing of', unknown, ...what);
  }

  #end({ room, events, iterated }: Following): void {
    const { log, end } = this.#room;
    if (room.state !== 'live') this.#complain('at the end it is', room.state);
    if (this.#place?.epoch !== log.epoch) this.#complain('at the end the log is', end);
    else this.#missed(end.offset, 'at the end');
    const { position } = room;
    if (position?.epoch !== log.epoch || position.offset > end.offset) this.#complain('its position is', position);
    const handedOn = events.flatMap((event) => (event.what === 'message' ? [event.message] : []));
    if (!isDeepStrictEqual(iterated, handedOn)) {
      this.#complain('for await gave', iterated.map(idOf), 'and the event', handedOn.map(idOf));
    }
  }

  #turnOf({ epoch }: Position): number {
    return this.#room.incarnations.findIndex((incarnation) => incarnation.epoch === epoch);
  }
}

function isSame(entry: Entry, { from, mid, ts, data }: Message): boolean {
  return entry.from === from && entry.mid === mid && entry.ts === ts && isDeepStrictEqual(entry.data, data);
}
