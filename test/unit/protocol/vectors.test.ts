import { describe, expect, it } from 'vitest';
import type { Input } from '../../../src/protocol/dialect.ts';
import { DISCONNECTS, type DisconnectReason, reconnects } from '../../../src/protocol/disconnects.ts';
import { CommandError, type ErrorCode } from '../../../src/protocol/errors.ts';
import { ndjsonDialect, websocketDialect } from '../../../src/protocol/json-dialect.ts';
import { LineSplitter, OVERSIZE } from '../../../src/protocol/line-splitter.ts';
import type { Gap, Position } from '../../../src/protocol/position.ts';
import type { LeftCode, RoomPresencePush, UserPresencePush } from '../../../src/protocol/presence-push.ts';
import { OPS, readLine } from '../../../src/protocol/reader.ts';
import type { RepliedOp, Replies } from '../../../src/protocol/replies.ts';
import { TextDialect } from '../../../src/protocol/text-dialect.ts';
import {
  HEARTBEAT,
  writeDisconnect,
  writeError,
  writeLeft,
  writeMessage,
  writeReply,
  writeResync,
  writeRoomPresence,
  writeSignal,
  writeUserPresence,
} from '../../../src/protocol/writer.ts';
import { type Mode, ModeDetector } from '../../../src/tcp/mode.ts';
import { bytesOf, loadVectors, type PublicationVector, publicationOf, type Text, textOf, written } from './vectors.ts';

interface ExpectedError {
  readonly id: number | null;
  readonly code: ErrorCode;
  readonly messageContains?: string;
}

interface CommandVector {
  readonly name: string;
  readonly line: Text;
  readonly expect: { readonly command?: object; readonly error?: ExpectedError };
}

const commands = loadVectors<CommandVector[]>('commands');

describe('commands.json', () => {
  it('has unique names, both outcomes for every op, and nothing but commands and errors', () => {
    expect(new Set(commands.map(({ name }) => name)).size).toBe(commands.length);
    for (const op of OPS) {
      expect(
        commands.some(({ expect: { command } }) => command !== undefined && 'op' in command && command.op === op),
        `an accepted ${op}`,
      ).toBe(true);
      expect(
        commands.some(({ line, expect: { error } }) => error !== undefined && textOf(line).includes(`"op":"${op}"`)),
        `a refused ${op}`,
      ).toBe(true);
    }
    for (const { expect: outcome } of commands) expect(Object.keys(outcome)).toHaveLength(1);
  });

  it.each(commands)('$name', ({ line, expect: expected }) => {
    const result = readLine(bytesOf(line));
    if (expected.command !== undefined) {
      expect(result).toEqual({ command: written(expected.command) });
    } else {
      expectError('refusal' in result ? result.refusal : result, expected.error);
    }
  });

  it.each(commands)('the same in a JSON dialect: $name', ({ line }) => {
    const inputs = ndjsonDialect.read(bytesOf(line));
    expect(inputs).toHaveLength(1);
    expect(JSON.stringify(inputs[0])).toBe(JSON.stringify(readLine(bytesOf(line))));
  });
});

const framing = loadVectors<{
  frames: { name: string; payloads: Text[]; websocket: Text; ndjson: Text }[];
  streams: { name: string; bytes: Text; lines: (Text | { oversize: true })[] }[];
  modes: { name: string; bytes: Text; mode: Mode }[];
}>('framing');

describe('framing.json', () => {
  it.each(framing.frames)('frames: $name', ({ payloads, websocket, ndjson }) => {
    const buffers = payloads.map(bytesOf);
    expect(websocketDialect.framing.frame(buffers).equals(bytesOf(websocket))).toBe(true);
    expect(ndjsonDialect.framing.frame(buffers).equals(bytesOf(ndjson))).toBe(true);
    expect(new TextDialect().framing.frame(buffers).equals(bytesOf(ndjson))).toBe(true);
  });

  it.each(framing.streams)('streams: $name', ({ bytes, lines }) => {
    const splitter = new LineSplitter();
    splitter.push(bytesOf(bytes));
    const found: unknown[] = [];
    for (let line = splitter.next(); line !== null; line = splitter.next()) {
      found.push(line === OVERSIZE ? OVERSIZE : line.toString('latin1'));
      if (line === OVERSIZE) break;
    }
    expect(found).toEqual(lines.map((line) => (isOversize(line) ? OVERSIZE : bytesOf(line).toString('latin1'))));
  });

  it.each(framing.modes)('modes: $name', ({ bytes, mode }) => {
    expect(new ModeDetector().push(bytesOf(bytes))).toBe(mode);
  });
});

const pushes = loadVectors<{
  messages: { name: string; publication: PublicationVector; line: Text }[];
  replies: { name: string; op: RepliedOp; id: number; ok: object; line: Text }[];
  errors: { name: string; id: number | null; error: ErrorVector; line: Text }[];
  presences: { name: string; push: PresencePush; line: Text }[];
  signals: { name: string; room: string; from: string; data: Text; line: Text }[];
  lefts: { name: string; room: string; code: LeftCode; line: Text }[];
  heartbeats: { name: string; line: Text }[];
  resyncs: { name: string; room: string; position: Position; gap?: Gap; line: Text }[];
  disconnects: (Disconnect & { name: string; reconnects: boolean; line: Text })[];
}>('pushes');

type PresencePush = RoomPresencePush | UserPresencePush;

interface Disconnect {
  readonly reason: DisconnectReason;
  readonly afterMs: number | null;
  readonly words?: string;
}

interface ErrorVector {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterMs?: number;
}

describe('pushes.json', () => {
  it.each(pushes.messages)('messages: $name', ({ publication, line }) => {
    expect(writeMessage(publicationOf(publication)).toString()).toBe(textOf(line));
  });

  it.each(pushes.replies)('replies: $name', ({ op, id, ok, line }) => {
    expect(writeReply(op, id, okOf(ok)).toString()).toBe(textOf(line));
  });

  it.each(pushes.errors)('errors: $name', ({ id, error, line }) => {
    expect(writeError(id, errorOf(error)).toString()).toBe(textOf(line));
  });

  it.each(pushes.presences)('presences: $name', ({ push, line }) => {
    const written = isOfRoom(push) ? writeRoomPresence(push) : writeUserPresence(push);
    expect(written.toString()).toBe(textOf(line));
  });

  it.each(pushes.signals)('signals: $name', ({ room, from, data, line }) => {
    expect(writeSignal(room, from, textOf(data)).toString()).toBe(textOf(line));
  });

  it.each(pushes.lefts)('lefts: $name', ({ room, code, line }) => {
    expect(writeLeft(room, code).toString()).toBe(textOf(line));
  });

  it.each(pushes.heartbeats)('heartbeats: $name', ({ line }) => {
    expect(HEARTBEAT.toString()).toBe(textOf(line));
  });

  it.each(pushes.resyncs)('resyncs: $name', ({ room, position, gap, line }) => {
    expect(writeResync(room, position, gap).toString()).toBe(textOf(line));
  });

  it.each(pushes.disconnects)('disconnects: $name', (vector) => {
    expect(writeDisconnect(vector.reason, vector.afterMs, vector.words).toString()).toBe(textOf(vector.line));
    expect(reconnects(vector.reason)).toBe(vector.reconnects);
  });

  it('names every disconnect, and has a reply of every op', () => {
    expect(new Set(pushes.disconnects.map(({ reason }) => reason))).toEqual(new Set(Object.keys(DISCONNECTS)));
    const replied = OPS.filter((op) => op !== 'quit' && op !== 'pong');
    expect(new Set(pushes.replies.map(({ op }) => op))).toEqual(new Set(replied));
  });

  it('is the same in both JSON dialects', () => {
    for (const { framing, ...dialect } of [ndjsonDialect, websocketDialect]) {
      for (const { push, line } of pushes.presences) {
        const payloads = isOfRoom(push) ? framing.roomPresence(push) : framing.userPresence(push);
        expect(payloads.map(String)).toEqual([textOf(line)]);
      }
      for (const { room, from, data, line } of pushes.signals) {
        expect(framing.signal(room, from, textOf(data))?.toString()).toBe(textOf(line));
      }
      for (const { room, code, line } of pushes.lefts) expect(dialect.left(room, code).map(String)).toEqual([line]);
      for (const { line } of pushes.heartbeats) expect(dialect.heartbeat().map(String)).toEqual([line]);
      for (const { reason, afterMs, words, line } of pushes.disconnects) {
        expect(dialect.disconnect(reason, afterMs, words).map(String)).toEqual([line]);
      }
    }
  });
});

type Shown = Text | { readonly contains: string };

interface Step {
  readonly typed?: Text;
  readonly expect?: readonly { command?: object; error?: ExpectedError; shown?: readonly Shown[] }[];
  readonly reply?: { op: RepliedOp; id: number; ok: object };
  readonly error?: ErrorVector & { id: number | null };
  readonly resync?: { room: string; position: Position; gap?: Gap };
  readonly presence?: PresencePush;
  readonly signal?: { room: string; from: string; data: string };
  readonly left?: { room: string; code: LeftCode };
  readonly heartbeat?: true;
  readonly disconnect?: Disconnect;
  readonly shown?: readonly Shown[];
}

const textMode = loadVectors<{
  dialogues: { name: string; steps: Step[] }[];
  messages: { name: string; publication: PublicationVector; line: Text }[];
}>('text-mode');

describe('text-mode.json', () => {
  it.each(textMode.dialogues)('dialogues: $name', ({ steps }) => {
    const dialect = new TextDialect();
    for (const step of steps) {
      if (step.typed !== undefined) expectInputs(dialect.read(bytesOf(step.typed)), step.expect ?? []);
      else expectShown(say(dialect, step), step.shown ?? []);
    }
  });

  it.each(textMode.messages)('messages: $name', ({ publication, line }) => {
    expect(new TextDialect().framing.message(publicationOf(publication)).toString()).toBe(textOf(line));
  });
});

function say(dialect: TextDialect, step: Step): readonly Buffer[] {
  const { reply, error, resync, presence, signal, left, heartbeat, disconnect } = step;
  if (reply !== undefined) return dialect.reply(reply.op, reply.id, okOf(reply.ok));
  if (error !== undefined) return dialect.error(error.id, errorOf(error));
  if (resync !== undefined) return dialect.resync(resync.room, resync.position, resync.gap);
  if (presence !== undefined) {
    const { framing } = dialect;
    return isOfRoom(presence) ? framing.roomPresence(presence) : framing.userPresence(presence);
  }
  if (signal !== undefined) {
    const payload = dialect.framing.signal(signal.room, signal.from, signal.data);
    return payload === null ? [] : [payload];
  }
  if (left !== undefined) return dialect.left(left.room, left.code);
  if (heartbeat !== undefined) return dialect.heartbeat();
  if (disconnect !== undefined) return dialect.disconnect(disconnect.reason, disconnect.afterMs, disconnect.words);
  throw new Error('a step that says nothing');
}

function expectInputs(inputs: readonly Input[], expected: NonNullable<Step['expect']>): void {
  expect(inputs).toHaveLength(expected.length);
  for (const [i, input] of inputs.entries()) {
    const { command, error, shown } = expected[i] ?? {};
    if (command !== undefined) expect(input).toEqual({ command: matching(command) });
    else if (error !== undefined) expectError('refusal' in input ? input.refusal : input, error);
    else expectShown('words' in input ? input.words : [], shown ?? []);
  }
}

function expectShown(payloads: readonly Buffer[], expected: readonly Shown[]): void {
  const wanted = expected.map((shown) => (isContains(shown) ? expect.stringContaining(shown.contains) : textOf(shown)));
  expect(payloads.map((payload) => payload.toString())).toEqual(wanted);
}

function expectError(refusal: unknown, expected: ExpectedError | undefined): void {
  expect(refusal).toMatchObject({ id: expected?.id, error: { code: expected?.code } });
  const { error } = refusal as { error: CommandError };
  expect(error).toBeInstanceOf(CommandError);
  expect(error.message).toContain(expected?.messageContains ?? '');
}

/** A command with texts written out, and `matches` as matchers. */
function matching(command: object): object {
  return Object.fromEntries(
    Object.entries(command).map(([key, value]) => {
      const isPattern = typeof value === 'object' && value !== null && 'matches' in value;
      return [key, isPattern ? expect.stringMatching(new RegExp(value.matches as string)) : written(value)];
    }),
  );
}

function okOf(ok: object): Replies[RepliedOp] {
  if (!('messages' in ok)) return ok as Replies[RepliedOp];
  return { ...ok, messages: (ok.messages as PublicationVector[]).map(publicationOf) } as unknown as Replies[RepliedOp];
}

function errorOf({ code, message, retryAfterMs }: ErrorVector): CommandError {
  return new CommandError(code, message, retryAfterMs);
}

function isOfRoom(push: PresencePush): push is RoomPresencePush {
  return 'room' in push;
}

function isContains(shown: Shown): shown is { readonly contains: string } {
  return typeof shown === 'object' && 'contains' in shown;
}

function isOversize(line: Text | { oversize: true }): line is { oversize: true } {
  return typeof line === 'object' && 'oversize' in line;
}
