import { STATUSES } from '../../src/protocol/presence-state.ts';
import type { Session } from '../contract/presence-truth.ts';
import type { Random } from '../faults/random.ts';
import type { Journal } from './journal.ts';
import type { PresenceClient } from './presence-client.ts';

export const USERS = ['ann', 'bob', 'cat', 'dan', 'eve', 'fay', 'gus', 'hal', 'ida', 'jim', 'kay', 'leo'];
export const ROOMS = ['r', 's', 't', 'u', 'v'];
const DEVICES = ['desk', 'phone'];
/** So many sessions a replica has most of the time. */
const SESSIONS = 7;

/** What sessions do, by a seed: they come and go, with their devices, rooms and status. */
export class Traffic {
  readonly #random: Random;
  readonly #journal: Journal;
  #connected = 0;

  constructor(random: Random, journal: Journal) {
    this.#random = random;
    this.#journal = journal;
  }

  /** Something happens on a replica. */
  operate(client: PresenceClient): void {
    const { sessions } = client;
    const weight = this.#random.next() * 10;
    const session = sessions.length > 0 ? this.#random.pick(sessions) : undefined;
    if (session === undefined || weight < (sessions.length < SESSIONS ? 5 : 2)) this.connect(client);
    else if (weight < 6) this.#move(client, session);
    else if (weight < 8) this.#say(client, session);
    else if (weight < 8.5) this.#cutOff(client, session);
    else this.#end(client, session);
  }

  connect(client: PresenceClient): void {
    this.#connected += 1;
    const session: Session = {
      session: `s${this.#connected}`,
      user: this.#random.pick(USERS),
      device: this.#random.pick(DEVICES),
      rooms: new Set(ROOMS.filter(() => this.#random.next() < 0.4)),
      status: this.#random.pick(STATUSES),
      text: undefined,
      atMs: client.nowMs,
    };
    client.sessions.push(session);
    this.#note(client, session, `connects as ${session.status} in ${[...session.rooms].join() || 'no room'}`);
    client.happen(this.#random.next() < 0.3 ? session : undefined);
  }

  #move(client: PresenceClient, session: Session): void {
    const room = this.#random.pick(ROOMS);
    const isLeaving = session.rooms.delete(room);
    if (!isLeaving) session.rooms.add(room);
    this.#note(client, session, `${isLeaving ? 'leaves' : 'joins'} ${room}`);
    client.happen();
  }

  #say(client: PresenceClient, session: Session): void {
    session.status = this.#random.pick(STATUSES);
    session.text = this.#random.pick([undefined, 'x', 'y']);
    session.atMs = Math.max(client.nowMs, session.atMs + 1);
    this.#note(client, session, `is ${session.status}${session.text === undefined ? '' : `, ${session.text}`}`);
    client.happen();
  }

  #cutOff(client: PresenceClient, session: Session): void {
    session.isCutOff = true;
    this.#note(client, session, 'is cut off');
    client.happen();
  }

  #end(client: PresenceClient, session: Session): void {
    client.sessions = client.sessions.filter((each) => each !== session);
    this.#note(client, session, 'ends');
    client.happen();
  }

  #note({ name }: PresenceClient, { session, user, device }: Session, what: string): void {
    this.#journal.note(`${name}: ${session} (${user}/${device}) ${what}`);
  }
}
