import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConnectionWatch } from '../../../src/chat/connection-watch.ts';
import type { Client, ClientState } from '../../../src/client/client.ts';
import { Emitter } from '../../../src/client/emitter.ts';

class FakeClient extends Emitter<{ state: ClientState }> {
  state: ClientState = { name: 'connecting' };
  readonly session = { user: 'ann' };

  be(state: ClientState): void {
    this.state = state;
    this.emit('state', state);
  }
}

let client: FakeClient;
let shown: string[];

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  client = new FakeClient();
  shown = [];
});

afterEach(() => {
  vi.useRealTimers();
});

function watch(waitMs: number | null): { watch: ConnectionWatch; lost(): Promise<string | undefined> } {
  const view = { note: (line: string) => shown.push(line), error: (words: string) => shown.push(`! ${words}`) };
  const watch = new ConnectionWatch(client as unknown as Client, view, waitMs);
  return { watch, lost: () => Promise.race([watch.lost, Promise.resolve(undefined)]) };
}

const waiting = (reason: string, inMs: number): ClientState => ({
  name: 'waiting',
  reason,
  retryAtMs: Date.now() + inMs,
});

describe('the state of the connection', () => {
  it('is shown as lines, each once', () => {
    watch(null);
    client.be({ name: 'online' });
    client.be(waiting('drain', 2_100));
    client.be({ name: 'connecting' });
    client.be(waiting('no connection', 0));
    client.be({ name: 'connecting' });
    client.be({ name: 'resyncing' });
    client.be({ name: 'online' });
    client.be({ name: 'resyncing' });
    client.be({ name: 'online' });
    expect(shown).toEqual([
      '# connected as ann',
      '# connection lost (drain); next try in 3 s',
      '# not connected (no connection); next try in 0 s',
      '# connected as ann',
      '# caught up',
      '# caught up',
    ]);
  });

  it('is lost for good when the gateway says so', async () => {
    const { lost } = watch(null);
    client.be({ name: 'online' });
    expect(await lost()).toBeUndefined();
    client.be({ name: 'closed', reason: 'kicked', code: 3503 });
    expect(await lost()).toBe('disconnected: removed by an operator (3503 kicked)');
  });

  it('is lost for good after the wait, at the beginning and after a loss', async () => {
    const first = watch(5_000);
    client.be(waiting('no connection', 1_000));
    await vi.advanceTimersByTimeAsync(4_999);
    expect(await first.lost()).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(await first.lost()).toBe('not reached within 5 s (no connection)');

    client = new FakeClient();
    const later = watch(5_000);
    client.be({ name: 'online' });
    await vi.advanceTimersByTimeAsync(10_000);
    client.be(waiting('drain', 1_000));
    await vi.advanceTimersByTimeAsync(3_000);
    // A try that fails is no new beginning.
    client.be({ name: 'connecting' });
    client.be(waiting('silence', 1_000));
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(1_999);
    expect(await later.lost()).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(await later.lost()).toBe('not reached within 5 s (silence)');
  });

  it('is waited for for ever, where that is wanted', async () => {
    const { lost } = watch(null);
    client.be(waiting('no connection', 1_000));
    await vi.advanceTimersByTimeAsync(100 * 86_400_000);
    expect(await lost()).toBeUndefined();
  });

  it('holds no timer once it is not watched any more', () => {
    const { watch: watched } = watch(5_000);
    expect(vi.getTimerCount()).toBe(1);
    watched.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});
