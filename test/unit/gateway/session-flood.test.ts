import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OutboxFlusher, UnsharedBytes } from '../../../src/gateway/outbox.ts';
import { Session, type SessionHost } from '../../../src/gateway/session.ts';
import { Grants } from '../../../src/identity/grants.ts';
import { REFUSALS, type SessionRates } from '../../../src/limits/session-limits.ts';
import { TimerWheel } from '../../../src/limits/timer-wheel.ts';
import { Tally } from '../../../src/observability/tally.ts';
import type { Command } from '../../../src/protocol/commands.ts';
import type { Dialect } from '../../../src/protocol/dialect.ts';
import type { CommandError } from '../../../src/protocol/errors.ts';
import { ndjsonDialect } from '../../../src/protocol/json-dialect.ts';
import { TextDialect } from '../../../src/protocol/text-dialect.ts';
import { FakeTransport } from './fake-transport.ts';
import { SETTINGS } from './gateway-settings.ts';

const FREE: SessionRates = { commands: null, publishes: null, signals: null, bytes: null };
/** Two ticks of the wheel, and a rounding. */
const LATE_MS = 101;
const REFUSAL_MS = 1_000 / REFUSALS.perSecond;

/** A node that answers at once: a ping as it should be, anything limited with what limits it. */
class FakeHost implements SessionHost {
  readonly flusher = new OutboxFlusher();
  readonly unshared = new UnsharedBytes(Number.MAX_SAFE_INTEGER);
  readonly outboxBytesMax = 10_000_000;
  readonly wheel = new TimerWheel();
  readonly liveness = SETTINGS.liveness;
  readonly tally = new Tally();
  readonly rates: SessionRates;
  readonly dispatched: string[] = [];
  endedCount = 0;

  constructor(rates: Partial<SessionRates>) {
    this.rates = { ...FREE, ...rates };
  }

  afterMs(): number {
    return 250;
  }

  dispatch(session: Session, command: Command, limited: CommandError | null): void {
    if (command.op === 'pong') return;
    if (limited !== null) {
      session.fail(command.id, limited);
      return;
    }
    this.dispatched.push(`${command.op} ${command.id}`);
    if (command.op === 'ping') session.reply('ping', command.id, { serverMs: 1 });
  }

  ended(): void {
    this.endedCount += 1;
  }
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function open(rates: Partial<SessionRates>, dialect: Dialect = ndjsonDialect) {
  const transport = new FakeTransport();
  const host = new FakeHost(rates);
  const session = new Session('s1', transport, dialect, host);
  transport.attach(session);
  return { transport, host, session };
}

const ping = (id: number) => ({ op: 'ping', id });
const pings = (from: number, count: number) => Array.from({ length: count }, (_, i) => ping(from + i));
const ANN = { user: 'ann', device: 'phone', grants: Grants.of({ join: [], publish: [], presence: [] }, 'ann') };

/** What was said, as `ok` or the error's code, once what is queued has been written. */
function outcomes({ transport }: { transport: FakeTransport }): unknown[] {
  vi.advanceTimersByTime(0);
  return transport.said.map(({ push, ok, error }) => push ?? (ok ? 'ok' : (error as { code: string }).code));
}

function repeated(times: number, outcome: string): string[] {
  return new Array<string>(times).fill(outcome);
}

describe('a client above its rate', () => {
  it('is told so with the command’s id, and when it may go on', () => {
    const opened = open({ commands: { perSecond: 2, burst: 3 } });
    opened.transport.send(...pings(1, 5));
    expect(outcomes(opened)).toEqual(['ok', 'ok', 'ok', 'rate_limited', 'rate_limited']);
    expect(opened.transport.order).toEqual([1, 2, 3, 4, 5]);
    expect(opened.transport.said[3]).toEqual({
      id: 4,
      error: { code: 'rate_limited', message: expect.stringContaining('commands'), retryAfterMs: 500 },
    });
    vi.advanceTimersByTime(500);
    opened.transport.send(ping(4), ping(5));
    expect(outcomes(opened).slice(5)).toEqual(['ok', 'rate_limited']);
    expect(opened.session.gate.unansweredCount).toBe(0);
  });

  it('is told of its own line’s bytes, their line feeds counted', () => {
    const line = JSON.stringify(ping(1));
    const opened = open({ bytes: { perSecond: 1_000, burst: 2 * (line.length + 1) } });
    opened.transport.send(ping(1), ping(2), ping(3));
    expect(outcomes(opened)).toEqual(['ok', 'ok', 'rate_limited']);
    expect(opened.transport.said[2]).toMatchObject({
      error: { message: expect.stringContaining('bytes'), retryAfterMs: line.length + 1 },
    });
  });

  it('pays for a line’s bytes once, however many commands it comes to', () => {
    const opened = open({ bytes: { perSecond: 1, burst: 13 } }, new TextDialect());
    // `/join lobby` and its line feed are 12 bytes, and come to connect, join and join.
    opened.transport.send('/join lobby');
    expect(opened.host.dispatched).toEqual(['connect 1', 'join 2', 'join 3']);
  });

  it('is refused garbage too, as rate-limited, and still counts to the end of the session', () => {
    const opened = open({ commands: { perSecond: 1, burst: 2 } });
    opened.transport.send(ping(1), ping(2), '{"op":"shout","id":3}', ...repeated(9, 'nonsense'));
    expect(outcomes(opened)).toEqual(['ok', 'ok', ...repeated(10, 'rate_limited')]);
    expect(opened.transport.said.slice(2, 4).map(({ id }) => id)).toEqual([3, null]);
    expect(opened.transport.closes).toEqual([]);
    opened.transport.send('nonsense');
    expect(opened.transport.closes).toEqual([{ code: 3501, reason: 'protocol_error' }]);
  });

  it('hears nothing for empty lines, which have their price', () => {
    const opened = open({ commands: { perSecond: 1, burst: 2 } });
    opened.transport.send('', ' \t', '', '', ping(1));
    expect(outcomes(opened)).toEqual(['rate_limited']);
    expect(opened.transport.order).toEqual([1]);
  });

  it('hears nothing for a pong, which has its price', () => {
    const opened = open({ commands: { perSecond: 1, burst: 2 } });
    opened.transport.send(...repeated(5, '{"op":"pong"}'), ping(1));
    expect(outcomes(opened)).toEqual(['rate_limited']);
    expect(opened.transport.order).toEqual([1]);
  });

  it('reads words in text mode only as far as they are paid for', () => {
    const { transport } = open({ commands: { perSecond: 1, burst: 1 } }, new TextDialect());
    transport.send('/help', '/help', '');
    vi.advanceTimersByTime(0);
    const lines = Buffer.concat(transport.written).toString().split('\n');
    expect(lines.filter((line) => line.includes('/connect'))).toHaveLength(1);
    expect(lines.filter((line) => line.startsWith('!'))).toEqual([expect.stringContaining('rate_limited')]);
  });

  it('may use an id again that was refused', () => {
    const opened = open({ commands: { perSecond: 1, burst: 1 } });
    opened.transport.send(ping(1), ping(2), ping(2), ping(2));
    expect(outcomes(opened)).toEqual(['ok', ...repeated(3, 'rate_limited')]);
    expect(opened.transport.order).toEqual([1, 2, 2, 2]);
  });
});

describe('a client that has used up its refusals', () => {
  const rates = { commands: { perSecond: 1, burst: 1 } };

  it('isn’t read any more, and goes on by the wheel', () => {
    const opened = open(rates);
    const { transport, host } = opened;
    transport.send(...pings(0, 1 + REFUSALS.burst + 50));
    expect(outcomes(opened)).toEqual(['ok', ...repeated(REFUSALS.burst, 'rate_limited')]);
    expect(host.tally.floodHeld).toBe(1);
    // More bytes don't bring it on.
    transport.send(ping(9_999));
    expect(outcomes(opened)).toHaveLength(1 + REFUSALS.burst);
    vi.advanceTimersByTime(REFUSAL_MS + LATE_MS);
    expect(outcomes(opened).length).toBeGreaterThan(1 + REFUSALS.burst);
    vi.advanceTimersByTime(10_000);
    expect(outcomes(opened)).toHaveLength(1 + REFUSALS.burst + 50 + 1);
    expect(transport.order).toEqual([...Array.from({ length: 1 + REFUSALS.burst + 50 }, (_, i) => i), 9_999]);
    expect(host.tally.floodHeld).toBe(0);
    expect(host.wheel.size).toBe(0);
  });

  it('is held to the refusals’ rate, and to its own, over time', () => {
    const opened = open({ commands: { perSecond: 10, burst: 10 } });
    const { transport, host } = opened;
    transport.send(...pings(0, 20_000));
    vi.advanceTimersByTime(10_000);
    const all = outcomes(opened);
    const refused = all.filter((outcome) => outcome === 'rate_limited').length;
    expect(refused).toBeLessThanOrEqual(REFUSALS.burst + 10 * REFUSALS.perSecond + 1);
    expect(refused).toBeGreaterThan(REFUSALS.burst);
    expect(all.length - refused).toBeLessThanOrEqual(10 + 10 * 10 + 1);
    expect(host.endedCount).toBe(0);
  });

  it('is not taken for dead: its clock stands still', () => {
    const opened = open(rates);
    const { transport, session } = opened;
    session.connected(ANN, true);
    transport.send(...pings(0, 1 + REFUSALS.burst + 10_000));
    expect(session.reading).toBe('withheld');
    vi.advanceTimersByTime(40_000);
    expect(session.reading).toBe('withheld');
    expect(transport.closes).toEqual([]);
    expect(transport.said.filter(({ push }) => push !== undefined)).toEqual([]);
  });

  it('leaves nothing in the wheel when it ends', () => {
    for (const end of ['quit', 'vanish', 'disconnect'] as const) {
      const { transport, host, session } = open(rates);
      session.connected(ANN, true);
      transport.send(...pings(0, 1 + REFUSALS.burst + 50));
      expect(host.tally.floodHeld).toBe(1);
      if (end === 'quit') session.quit();
      else if (end === 'vanish') transport.vanish();
      else session.disconnect('kicked');
      expect(host.wheel.size).toBe(0);
      expect(host.tally.floodHeld).toBe(0);
      vi.advanceTimersByTime(60_000);
      expect(host.endedCount).toBe(1);
      expect(host.dispatched).toEqual(['ping 0']);
    }
  });

  it('is read no further when the server stops reading', () => {
    const opened = open(rates);
    opened.transport.send(...pings(0, 1 + REFUSALS.burst + 50));
    opened.session.stopReading();
    vi.advanceTimersByTime(60_000);
    expect(outcomes(opened)).toHaveLength(1 + REFUSALS.burst);
    expect(opened.host.tally.floodHeld).toBe(0);
  });

  it('that ends its side is answered everything that it sent before, and then let go', () => {
    const opened = open(rates);
    const { transport, host } = opened;
    const count = 1 + REFUSALS.burst + 300;
    transport.send(...pings(0, count));
    transport.end();
    vi.advanceTimersByTime(0);
    expect(transport.closes).toEqual([]);
    vi.advanceTimersByTime(60_000);
    expect(transport.order).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(transport.closes).toEqual([{ code: 1000, reason: '' }]);
    expect(host.endedCount).toBe(1);
    expect(host.wheel.size).toBe(0);
  });

  it('that floods with empty lines, pongs or garbage costs no more than another', () => {
    for (const line of ['', '{"op":"pong"}', '{"op":"shout","id":1}']) {
      const { transport, host } = open(rates);
      transport.send(...repeated(1 + REFUSALS.burst + 50, line));
      expect(host.tally.floodHeld, line).toBe(1);
      // What is not read stays with the transport, which doesn't read on either.
      expect(transport.read()).not.toBe(null);
      vi.advanceTimersByTime(60_000);
      expect(transport.read()).toBe(null);
      expect(host.tally.floodHeld).toBe(0);
    }
  });
});
