import type { Writable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as ws from 'ws';
import { BOUNDS } from '../../../src/protocol/bounds.ts';
import { ndjsonDialect, websocketDialect } from '../../../src/protocol/json-dialect.ts';
import type { RoomPresencePush } from '../../../src/protocol/presence-push.ts';
import type { UserState } from '../../../src/protocol/presence-state.ts';
import { encodeValue, type Publication } from '../../../src/protocol/publication.ts';
import { readLine } from '../../../src/protocol/reader.ts';
import {
  writeMessage,
  writeReply,
  writeRoomPresence,
  writeSignal,
  writeUserPresence,
} from '../../../src/protocol/writer.ts';
import { jsonText } from './arbitraries.ts';

/** A client's decoder; the library exports it, and its types don't know. */
const { Receiver } = ws as unknown as { Receiver: new (options: { isServer: boolean }) => Writable };

const name = fc.stringMatching(/^[A-Za-z0-9_.:@/-]{1,20}$/);
const printable = fc.stringMatching(/^[\x20-\x7e]{1,20}$/);
/** Data as a publish may carry it: what the reader makes of any JSON text, or null where it refuses it. */
const data = jsonText.map((text) => {
  const result = readLine(Buffer.from(`{"op":"publish","id":1,"room":"a","mid":"m","data":${text}}`));
  return 'command' in result && result.command.op === 'publish' ? result.command.data : 'null';
});

interface Sample {
  readonly publication: Publication;
  readonly from: string;
  readonly mid: string;
  readonly data: string;
}

const sample: fc.Arbitrary<Sample> = fc
  .record({
    room: name,
    from: name,
    mid: printable,
    data,
    epoch: printable,
    offset: fc.maxSafeNat(),
    ts: fc.maxSafeNat(),
  })
  .map(({ room, from, mid, data: json, epoch, offset, ts }) => ({
    publication: { room, partition: 0, epoch, offset, ts, value: encodeValue(room, from, mid, json) },
    from,
    mid,
    data: json,
  }));

function fieldsOf({ publication: { room, epoch, offset, ts }, from, mid, data: json }: Sample): object {
  return { room, epoch, offset, ts, from, mid, data: JSON.parse(json) };
}

describe('writeMessage', () => {
  it('is JSON of the publication, with the data byte for byte', () => {
    fc.assert(
      fc.property(sample, (of) => {
        const line = writeMessage(of.publication);
        expect(JSON.parse(line.toString())).toEqual({ push: 'message', ...fieldsOf(of) });
        expect(line.toString().endsWith(`,"data":${of.data}}`)).toBe(true);
        expect(line.includes('\n')).toBe(false);
        expect(line.subarray(-of.publication.value.length + 1).equals(of.publication.value.subarray(1))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('copies the value, which others share', () => {
    const value = encodeValue('a', 'b', 'm', '"x"');
    const before = Buffer.from(value);
    writeMessage({ room: 'a', partition: 0, epoch: 'e', offset: 1, ts: 1, value }).fill(0);
    expect(value.equals(before)).toBe(true);
  });
});

describe('writeSignal', () => {
  it('is JSON of the signal, with the data byte for byte', () => {
    fc.assert(
      fc.property(name, name, data, (room, from, json) => {
        const line = writeSignal(room, from, json).toString();
        expect(JSON.parse(line)).toEqual({ push: 'signal', room, from, data: JSON.parse(json) });
        expect(line.endsWith(`,"data":${json}}`)).toBe(true);
        expect(line.includes('\n')).toBe(false);
      }),
      { numRuns: 500 },
    );
  });
});

const state = fc.record(
  {
    user: name,
    status: fc.constantFrom('online', 'away', 'dnd', 'offline'),
    text: fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => text.isWellFormed()),
    devices: fc.nat(),
  },
  { requiredKeys: ['user', 'status', 'devices'] },
) as fc.Arbitrary<UserState>;

describe('writeRoomPresence and writeUserPresence', () => {
  it('are one line of JSON of the push, whatever the texts', () => {
    const list = fc.array(state, { minLength: 1, maxLength: 4 });
    const push = fc.record(
      {
        room: name,
        version: fc.maxSafeNat(),
        count: fc.nat(),
        partial: fc.boolean(),
        joined: list,
        left: list,
        changed: list,
      },
      { requiredKeys: ['room', 'version', 'count', 'partial'] },
    ) as fc.Arbitrary<RoomPresencePush>;
    fc.assert(
      fc.property(push, state, fc.maxSafeNat(), (ofRoom, user, lastSeenMs) => {
        for (const [line, expected] of [
          [writeRoomPresence(ofRoom), ofRoom],
          [writeUserPresence({ ...user, lastSeenMs }), { ...user, lastSeenMs }],
        ] as const) {
          expect(JSON.parse(line.toString())).toEqual({ push: 'presence', ...expected });
          expect(line.includes('\n')).toBe(false);
        }
      }),
    );
  });

  it('stays within the bound for as many of the longest names and texts as one push tells', () => {
    const joined = longestUsers(BOUNDS.presencePageMax);
    const room = 'r'.repeat(BOUNDS.roomBytesMax);
    const last = Number.MAX_SAFE_INTEGER;
    const push = { room, version: last, count: last, partial: false, joined };
    expect(writeRoomPresence(push).length).toBeLessThan(BOUNDS.serverFrameBytesMax);
  });
});

/** Users whose states are as long as JSON can be of them. */
function longestUsers(count: number): UserState[] {
  const user = 'u'.repeat(BOUNDS.userBytesMax);
  const text = '\u0001'.repeat(BOUNDS.statusTextBytesMax);
  return Array.from({ length: count }, () => ({ user, status: 'offline', text, devices: Number.MAX_SAFE_INTEGER }));
}

describe('writeReply', () => {
  it('is JSON of a page, with the data of each message byte for byte', () => {
    const position = fc.record({ epoch: printable, offset: fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER }) });
    const gap = fc.option(fc.record({ from: fc.option(position), to: position }), { nil: undefined });
    fc.assert(
      fc.property(
        fc.array(sample, { maxLength: 5 }),
        name,
        position,
        gap,
        fc.maxSafeNat(),
        (of, room, at, lost, id) => {
          const fields = { room, position: at, more: lost !== undefined, gap: lost };
          const messages = of.map(({ publication }) => publication);
          const expected = { ...fields, messages: of.map(fieldsOf) };
          const join = writeReply('join', id, { ...fields, recovered: true, messages }).toString();
          const history = writeReply('history', id, { ...fields, messages }).toString();
          expect(JSON.parse(join)).toEqual({ id, ok: { ...expected, recovered: true } });
          expect(JSON.parse(history)).toEqual({ id, ok: expected });
          for (const { data: json } of of) expect(join).toContain(`,"data":${json}}`);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('stays within the bound for the fullest page of the longest names', () => {
    const room = 'r'.repeat(BOUNDS.roomBytesMax);
    const epoch = '"'.repeat(BOUNDS.epochBytesMax);
    const offset = Number.MAX_SAFE_INTEGER;
    const value = encodeValue(room, 'u'.repeat(BOUNDS.userBytesMax), '"'.repeat(BOUNDS.midBytesMax), '0');
    const messages = Array.from({ length: BOUNDS.historyMax }, (): Publication => {
      return { room, partition: 0, epoch, offset, ts: offset, value };
    });
    const position = { epoch, offset };
    const page = { room, position, more: true, gap: { from: position, to: position }, messages };
    const overhead = writeReply('history', offset, page).length - messages.length * value.length;
    expect(overhead + BOUNDS.pageBytesMax).toBeLessThan(BOUNDS.serverFrameBytesMax);
    // A join's reply may have the fullest page of presence beside it.
    const users = longestUsers(BOUNDS.presencePageMax);
    const presence = { count: offset, version: offset, users, more: true, partial: false };
    const join = writeReply('join', offset, { ...page, recovered: false, presence }).length;
    expect(join - messages.length * value.length + BOUNDS.pageBytesMax).toBeLessThan(BOUNDS.serverFrameBytesMax);
  });
});

describe('WebSocket framing', () => {
  /** What a client's decoder makes of the bytes. */
  function received(bytes: Buffer): string[] {
    const receiver = new Receiver({ isServer: false });
    const messages: string[] = [];
    receiver.on('message', (message: Buffer, isBinary: boolean) => {
      expect(isBinary).toBe(false);
      messages.push(message.toString());
    });
    receiver.on('error', (error: Error) => {
      throw error;
    });
    receiver.write(bytes);
    return messages;
  }

  it.each([0, 1, 124, 125, 126, 127, 255, 256, 257, 65_534, 65_535, 65_536, 65_537, BOUNDS.serverFrameBytesMax])(
    'is read back by a decoder of %i bytes',
    (length) => {
      const { framing } = websocketDialect;
      const whole = Buffer.alloc(length, 'x');
      expect(received(framing.frame([whole]))).toEqual([whole.toString()]);
      if (length < 3) return;
      const parts = [whole.subarray(0, 1), whole.subarray(1, length - 2)];
      const [message, ...others] = received(framing.frame(parts));
      expect(others).toEqual([]);
      expect(message?.length).toBe(length - 1);
      expect(message?.split('\n')).toEqual(parts.map((part) => part.toString()));
    },
  );

  it('is read back whatever the payloads, frame behind frame', () => {
    const payload = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\n', ''));
    fc.assert(
      fc.property(fc.array(fc.array(payload, { minLength: 1, maxLength: 4 }), { maxLength: 4 }), (batches) => {
        const buffers = batches.map((batch) => batch.map((text) => Buffer.from(text)));
        const { framing } = websocketDialect;
        const messages = received(Buffer.concat(buffers.map((batch) => framing.frame(batch))));
        expect(messages).toEqual(batches.map((batch) => batch.join('\n')));
        const lines = Buffer.concat(buffers.map((batch) => ndjsonDialect.framing.frame(batch))).toString();
        expect(lines).toBe(
          batches
            .flat()
            .map((text) => `${text}\n`)
            .join(''),
        );
      }),
    );
  });
});
