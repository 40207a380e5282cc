import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { ApiClient } from '../e2e/api-client.ts';
import { type Client, TcpClient, WsClient } from '../e2e/clients.ts';
import type { Replica } from '../e2e/replica.ts';
import type { CuttingProxy } from '../faults/cutting-proxy.ts';

/** Whom there is to load. */
export interface Crew {
  /** Replicas of one cluster; the second one is killed, and the first one drained at the end. */
  readonly first: Replica;
  readonly second: Replica;
  /** Between the first one and Redis. */
  readonly redis: CuttingProxy;
  /** A process by itself that asks for tokens, and whose key server is not there. */
  readonly alone: Replica;
}

const PEOPLE = 12;
/** Of these an operator kicks one, and disconnects another one. */
const REMOVED = 2;
const ROOM = 'market';
/** So many of these that the newest 65 of a room are in a replica's memory (1 MiB for each of 64 partitions). */
const PAST_PUBLICATIONS = 100;
const PAST_BYTES = 16_000;
const PAST_AT_A_TIME = 10;
export const PARTITIONS = 64;
export const PAST_IN_REDIS = 85;
const TALK_MS = 5_000;
const SAY_EVERY_MS = 100;
const SILENT_MS = 2_500;
const FLOOD_COMMANDS = 1_500;

/** Does once, for some seconds each, whatever the dashboards have something to show of. Resolves when the first has ended. */
export async function loadAll({ first, second, redis, alone }: Crew): Promise<void> {
  const clients: Client[] = [];
  const looker = await fetch(`http://127.0.0.1:${first.ports.internal}/dashboard/figures`);
  try {
    const people = await enter(first, second, clients);
    await Promise.all([
      talk(people.slice(0, -REMOVED)),
      mistakes(first, clients),
      refusals(first, clients),
      api(first),
      comeBack(first, clients),
      tokens(alone, clients),
    ]);
    await losses(people);
    await looker.body?.cancel();
    redis.hold('down');
    await signalFor(SILENT_MS, people[4] as Client);
    redis.release('down');
    await delay(SILENT_MS);
    await second.stop('SIGKILL');
    // Its lease and the grace, until the first one takes out who was there.
    await delay(4_000);
    await first.stop('SIGTERM');
  } finally {
    for (const client of clients) client.close();
  }
}

async function opened(client: Promise<Client>, clients: Client[]): Promise<Client> {
  const made = await client;
  clients.push(made);
  return made;
}

/** People at both replicas, by both transports, in a room and watching one another. */
async function enter(first: Replica, second: Replica, clients: Client[]): Promise<Client[]> {
  const people: Client[] = [];
  for (let i = 0; i < PEOPLE; i += 1) {
    const { ports } = i % 2 === 0 ? first : second;
    const isWs = i % 4 < 2;
    const person = await opened(isWs ? WsClient.open(ports.http) : TcpClient.open(ports.tcp), clients);
    await person.connect(`person-${i}`, { device: 'phone' });
    await person.ok({ op: 'join', room: ROOM, presence: 'full' });
    await person.ok({ op: 'watch', users: [`person-${(i + 1) % PEOPLE}`] });
    people.push(person);
  }
  return people;
}

async function talk(people: readonly Client[]): Promise<void> {
  const endMs = performance.now() + TALK_MS;
  for (let said = 0; performance.now() < endMs; said += 1) {
    const person = people[said % people.length] as Client;
    await person.ok({ op: 'publish', room: ROOM, mid: `m${said}`, data: { said } });
    await person.ok({ op: 'signal', room: ROOM, data: 'typing' });
    if (said % 5 === 0) await person.ok({ op: 'status', status: said % 2 === 0 ? 'dnd' : 'online' });
    await delay(SAY_EVERY_MS);
  }
  for (const person of people.slice(0, 3)) {
    await person.ok({ op: 'presence', room: ROOM });
    await person.ok({ op: 'history', room: ROOM, limit: 10 });
    await person.ok({ op: 'ping' });
    await person.ok({ op: 'unwatch', users: ['person-1'] });
  }
}

async function signalFor(ms: number, person: Client): Promise<void> {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs) {
    await person.ok({ op: 'signal', room: ROOM, data: 'typing' });
    await delay(SAY_EVERY_MS);
  }
}

async function mistakes({ ports }: Replica, clients: Client[]): Promise<void> {
  const person = await opened(TcpClient.open(ports.tcp), clients);
  await person.connect('clumsy');
  await person.errorCode({ op: 'dance' });
  await person.errorCode({ op: 'leave', room: 'nowhere' });
  await person.ok({ op: 'join', room: 'mistakes' });
  await person.errorCode({ op: 'join', room: 'mistakes' });
  await person.ok({ op: 'publish', room: 'mistakes', mid: 'same', data: 1 });
  // A retry, which adds nothing, and another message with its name.
  await person.ok({ op: 'publish', room: 'mistakes', mid: 'same', data: 1 });
  await person.errorCode({ op: 'publish', room: 'mistakes', mid: 'same', data: 2 });
  const flood = Array.from({ length: FLOOD_COMMANDS }, (_, id) => `${JSON.stringify({ op: 'ping', id })}\n`);
  person.sendRaw(flood.join(''));
}

/** Connections that get no session, and some that say nothing for a while. */
async function refusals({ ports }: Replica, clients: Client[]): Promise<void> {
  for (let i = 0; i < 3; i += 1) await opened(TcpClient.open(ports.tcp), clients);
  const foreign = connect(ports.tcp, '127.0.0.1');
  foreign.on('error', () => {}).end('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(foreign, 'close');
  for (const headers of [{ origin: 'http://evil.example' }, { host: 'evil.example' }]) {
    const ws = new WebSocket(`ws://127.0.0.1:${ports.http}/ws`, { headers });
    await new Promise((resolve) => ws.on('error', () => {}).on('close', resolve));
  }
}

async function api({ ports }: Replica): Promise<void> {
  const client = new ApiClient(ports.internal);
  await client.post(`/api/v1/rooms/${ROOM}/publish`, { from: 'bot', data: 'hello' });
  await client.post(`/api/v1/rooms/${ROOM}/publish`, { from: 'bot' });
  await client.get(`/api/v1/rooms/${ROOM}/presence`);
  await client.get(`/api/v1/rooms/${ROOM}/history`);
  await client.get('/api/v1/users/person-0/presence');
  await client.post(`/api/v1/rooms/${ROOM}/kick`, { user: `person-${PEOPLE - 2}` });
  await client.post(`/api/v1/users/person-${PEOPLE - 1}/disconnect`);
  await client.get('/api/v1/nothing');
}

/** Whoever comes back finds what was missed in memory, in Redis, in Kafka, or not at all. */
async function comeBack({ ports }: Replica, clients: Client[]): Promise<void> {
  const room = 'past';
  const person = await opened(WsClient.open(ports.http), clients);
  await person.connect('returner');
  const { position } = await person.ok({ op: 'join', room });
  const start = position as { epoch: string; offset: number };
  const backend = new ApiClient(ports.internal);
  const publication = { from: 'bot', data: 'x'.repeat(PAST_BYTES) };
  for (let i = 0; i < PAST_PUBLICATIONS; i += PAST_AT_A_TIME) {
    const posts = Array.from({ length: PAST_AT_A_TIME }, () =>
      backend.post(`/api/v1/rooms/${room}/publish`, publication),
    );
    await Promise.all(posts);
  }
  await person.until('all of it', () => person.messages(room).length === PAST_PUBLICATIONS);
  const places = person.messages(room).map(({ epoch, offset }) => ({ epoch, offset }));
  // What is not in Redis yet would be read from Kafka.
  await delay(1_000);
  for (const since of [places.at(-1), places.at(-3), places.at(-80), start, { epoch: 'another', offset: 1 }]) {
    await person.ok({ op: 'leave', room });
    await person.ok({ op: 'join', room, since });
  }
}

/** Tokens that can't be checked now. */
async function tokens({ ports }: Replica, clients: Client[]): Promise<void> {
  const token = ['{"alg":"RS256","kid":"a"}', '{"sub":"ann","exp":4000000000}', 'x']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.');
  for (let i = 0; i < 3; i += 1) {
    const person = await opened(TcpClient.open(ports.tcp), clients);
    await person.errorCode({ op: 'connect', token });
  }
}

/** Some are cut off, one says goodbye, and one comes to the other replica with the same device. */
async function losses(people: readonly Client[]): Promise<void> {
  const [one, two, three] = people;
  (two as Client).close();
  (three as Client).close();
  (one as Client).send({ op: 'quit', id: 1 });
}
