import type { Removal, Removed } from '../../fanout/peers.ts';
import { CommandError } from '../../protocol/errors.ts';
import { room, user } from '../../protocol/fields.ts';
import { type FieldsOf, readBody } from '../../protocol/reader.ts';
import { readTraceparent, type TraceContext } from '../../protocol/traceparent.ts';
import type { RoomsContext } from '../handlers/rooms.ts';
import { decode, type QueryOf, readQuery } from './query.ts';

/** What the calls work on. */
export interface ApiHost {
  readonly rooms: RoomsContext;
  /** Nothing more is done for anybody. */
  readonly drained: boolean;
  /** On all replicas. */
  remove(removal: Removal): Promise<Removed>;
}

/** A request that has come as a whole; nothing of it is checked yet. */
export interface Asked {
  /** The room or user of the path, percent-encoded. */
  readonly name: string;
  /** Without its question mark. */
  readonly query: string;
  readonly body: Buffer;
  /** Its header of that name. */
  readonly traceparent: string;
}

export interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: `/api/v1/rooms/{room}/${string}` | `/api/v1/users/{user}/${string}`;
  /** Resolves with the JSON to answer. @throws CommandError, or whatever is our fault */
  answer(asked: Asked, host: ApiHost): Promise<Buffer>;
}

const NAMES = { rooms: { noun: 'room', check: room }, users: { noun: 'user', check: user } } as const;

/** A call that changes nothing: its fields are in the query, and it has no body. */
export function getCall<T>(
  path: Call['path'],
  query: QueryOf<T>,
  run: (name: string, given: T, host: ApiHost) => Promise<Buffer>,
): Call {
  return {
    method: 'GET',
    path,
    async answer(asked, host) {
      if (asked.body.length > 0) throw new CommandError('bad_request', 'this call takes no body');
      return run(readName(path, asked.name), readQuery(asked.query, query), host);
    },
  };
}

/** A call that changes something: its fields are in the body, and it has no query. */
export function postCall<T>(
  path: Call['path'],
  body: FieldsOf<T>,
  run: (name: string, given: T, host: ApiHost, parent: TraceContext | null) => Promise<Buffer>,
): Call {
  return {
    method: 'POST',
    path,
    async answer(asked, host) {
      const name = readName(path, asked.name);
      readQuery(asked.query, {});
      return run(name, readBody(asked.body, body), host, readTraceparent(asked.traceparent));
    },
  };
}

/** The call that a request's method and path name, and the name in the path; null if there is none. */
export function findCall(calls: readonly Call[], method: string | undefined, path: string) {
  const parts = /^(\/api\/v1\/(?:rooms|users)\/)([^/]*)(\/[a-z]+)$/.exec(path);
  if (parts === null) return null;
  const [, start = '', name = '', end = ''] = parts;
  const call = calls.find((known) => known.method === method && known.path === `${start}${placeholder(start)}${end}`);
  return call === undefined ? null : { call, name };
}

/** Says how many sessions a call has changed, and whether that is known of all replicas. */
export function writeRemoved({ sessions, partial }: Removed): Buffer {
  return Buffer.from(JSON.stringify({ sessions, partial }));
}

function placeholder(start: string): string {
  return start.endsWith('/rooms/') ? '{room}' : '{user}';
}

function readName(path: Call['path'], encoded: string): string {
  const { noun, check } = path.startsWith('/api/v1/rooms/') ? NAMES.rooms : NAMES.users;
  const name = decode(encoded, noun);
  const complaint = check(name, name);
  if (complaint !== null) throw new CommandError('bad_request', `${noun}: ${complaint}`);
  return name;
}
