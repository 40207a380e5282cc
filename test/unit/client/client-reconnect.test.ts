import { describe, expect, it } from 'vitest';
import { settled } from './fake-environment.ts';
import {
  connectingWorld,
  namesOf,
  onlineWorld,
  outcomeOf,
  SILENCE_MS,
  WELCOME,
  waitMs,
  worldOf,
} from './virtual-server.ts';

describe('a lost session', () => {
  it('is tried again at a random time within the server’s window', async () => {
    const world = await onlineWorld({}, { retryWindowMs: 8_000 });
    const { client, server, environment, states } = world;
    environment.rolls.push(0.75);
    await server.end(1006);
    expect(client.state).toEqual({
      name: 'waiting',
      reason: 'no connection',
      retryAtMs: environment.wallMs() + 6_000,
    });
    await environment.pass(5_999);
    expect(client.state.name).toBe('waiting');
    await environment.pass(1);
    expect(client.state.name).toBe('connecting');
    await server.accept();
    expect(namesOf(states)).toEqual(['connecting', 'online', 'waiting', 'connecting', 'online']);
  });

  it.each([
    [1_000, 0.9, 900],
    [60_000, 0.5, 30_000],
    [0, 0.5, 500],
  ])('is tried within a window of %i ms by %f at %i ms', async (retryWindowMs, roll, delayMs) => {
    const world = await onlineWorld({}, { retryWindowMs });
    world.environment.rolls.push(roll);
    await world.server.end();
    expect(waitMs(world)).toBe(delayMs);
  });

  it.each([0, 1, 12_345])('comes back when the server said: after %i ms', async (afterMs) => {
    const world = await onlineWorld();
    await world.server.disconnect(3000, 'drain', { afterMs });
    expect(world.client.state).toEqual({
      name: 'waiting',
      reason: 'drain',
      retryAtMs: world.environment.wallMs() + afterMs,
    });
    await world.environment.pass(afterMs);
    expect(world.client.state.name).toBe('connecting');
  });

  it('tries the longer apart the more often it fails, up to 30 s', async () => {
    const world = await onlineWorld({}, { retryWindowMs: 3_000 });
    const delays: number[] = [];
    for (let i = 0; i < 8; i += 1) {
      world.environment.rolls.push(0.5);
      await world.server.end();
      delays.push(waitMs(world));
      await world.environment.pass(delays.at(-1) as number);
    }
    expect(delays.map((delayMs) => 2 * delayMs)).toEqual([3_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  it('that was short goes on where the tries were, and one of 60 s begins anew', async () => {
    const world = await onlineWorld({}, { retryWindowMs: 3_000, heartbeatMs: 0 });
    const { environment, server } = world;
    const lose = async () => {
      environment.rolls.push(0.5);
      await server.end();
      const delayMs = waitMs(world);
      await environment.pass(delayMs);
      return 2 * delayMs;
    };
    expect(await lose()).toBe(3_000);
    expect(await lose()).toBe(2_000);
    await server.accept({ retryWindowMs: 5_000, heartbeatMs: 0 });
    await environment.pass(59_999);
    expect(await lose()).toBe(4_000);
    await server.accept({ retryWindowMs: 5_000, heartbeatMs: 0 });
    await environment.pass(60_000);
    expect(await lose()).toBe(5_000);
    // What never was a session counts for nothing, however long it took.
    await environment.pass(14_000);
    expect(await lose()).toBe(2_000);
  });

  it('was none before the first: then the wait begins with 1 s', async () => {
    const world = await connectingWorld();
    world.environment.rolls.push(0.5, 0.5);
    await world.server.end();
    expect(waitMs(world)).toBe(500);
    await world.environment.pass(500);
    await world.server.end();
    expect(waitMs(world)).toBe(1_000);
  });

  it('is one that was silent too long', async () => {
    const { client, environment, server } = await onlineWorld();
    await environment.pass(SILENCE_MS - 1);
    expect(client.state.name).toBe('online');
    await environment.pass(1);
    expect(client.state).toMatchObject({ name: 'waiting', reason: 'silence' });
    expect(environment.liveSockets).toEqual([]);
    expect(server.socket.closedWith?.code).toBe(4000);
  });

  it('is one that never began: no word within the time for it', async () => {
    const { client, environment, server } = await connectingWorld({ connectTimeoutMs: 3_000 });
    await environment.pass(1_000);
    await server.open();
    await environment.pass(1_999);
    expect(client.state.name).toBe('connecting');
    await environment.pass(1);
    expect(client.state).toMatchObject({ name: 'waiting', reason: 'silence' });
  });

  it('has 15 s to begin', async () => {
    const { client, environment } = await connectingWorld();
    await environment.pass(14_999);
    expect(client.state.name).toBe('connecting');
    await environment.pass(1);
    expect(client.state.name).toBe('waiting');
  });

  it('is one whose greeting makes no sense', async () => {
    const { client, server, environment } = await connectingWorld();
    await server.open();
    await server.ok('connect', { session: 's1' });
    expect(client.state.name).toBe('waiting');
    expect(environment.liveSockets).toEqual([]);
  });
});

describe('a browser that says it is online', () => {
  it('ends a wait that was a guess', async () => {
    const { client, server, environment } = await onlineWorld();
    environment.rolls.push(0.9);
    await server.end();
    environment.goOnline();
    expect(client.state.name).toBe('connecting');
    expect(environment.sockets).toHaveLength(2);
    // The wait is over: it brings no second socket.
    await environment.pass(WELCOME.retryWindowMs);
    expect(environment.sockets).toHaveLength(2);
  });

  it('does not end a wait that the server ordered', async () => {
    const { client, server, environment } = await onlineWorld();
    await server.disconnect(3000, 'drain', { afterMs: 4_000 });
    environment.goOnline();
    expect(client.state.name).toBe('waiting');
    await environment.pass(4_000);
    await server.end();
    // This one is a guess again.
    environment.goOnline();
    expect(client.state.name).toBe('connecting');
  });

  it('makes sure of the server that there is', async () => {
    const { client, server, environment } = await onlineWorld();
    await environment.pass(1_000);
    environment.goOnline();
    await settled();
    expect(server.unanswered).toMatchObject([{ op: 'ping' }]);
    await environment.pass(5_000);
    expect(client.state).toMatchObject({ name: 'waiting', reason: 'silence' });
  });

  it('changes nothing while it connects, or when it is closed', async () => {
    const { client, environment, server } = await connectingWorld();
    environment.goOnline();
    await server.open();
    environment.goOnline();
    expect(environment.sockets).toHaveLength(1);
    expect(server.heard).toHaveLength(1);
    void client.close();
    await server.end(1000);
    environment.goOnline();
    expect(client.state.name).toBe('closed');
    expect(environment.onlineListeners).toBe(0);
  });
});

describe('a server that does not want the client', () => {
  it.each([3500, 3501, 3502, 3503, 3504, 3505, 3999])('closes it for good with %i', async (code) => {
    const { client, server, environment, states } = await onlineWorld();
    const waiting = outcomeOf(client.ping());
    await settled();
    await server.disconnect(code, 'why', null);
    expect(client.state).toEqual({ name: 'closed', reason: 'why', code });
    expect(waiting.error).toMatchObject({ code: 'closed', message: 'closed: why', wasSent: true });
    await environment.pass(3_600_000);
    expect(environment.sockets).toHaveLength(1);
    expect(environment.timers).toEqual([]);
    expect(environment.onlineListeners).toBe(0);
    expect(namesOf(states)).toEqual(['connecting', 'online', 'closed']);
  });

  it('closes it for good also by the close alone', async () => {
    const { client, server } = await onlineWorld();
    await server.end(3503, 'kicked');
    expect(client.state).toEqual({ name: 'closed', reason: 'kicked', code: 3503 });
  });

  it.each(['unauthorized', 'limit_exceeded'])('refuses it with %s, and says then for good or not', async (code) => {
    const { client, server, environment } = worldOf();
    const connected = outcomeOf(client.connect());
    await server.open();
    await server.fail('connect', code);
    expect(client.state.name).toBe('connecting');
    await server.disconnect(3500, 'invalid_token', null);
    expect(client.state).toEqual({ name: 'closed', reason: 'invalid_token', code: 3500 });
    expect(connected.error).toMatchObject({ code: 'closed' });
    expect(environment.timers).toEqual([]);
  });

  it.each(['bad_request', 'forbidden', 'something_new'])('refuses it with %s for good', async (code) => {
    const { client, server, environment } = await connectingWorld();
    await server.open();
    await server.fail('connect', code);
    expect(client.state).toEqual({ name: 'closed', reason: `${code}: ${code} it is`, code: null });
    expect(server.socket.closedWith?.code).toBe(4003);
    expect(environment.timers).toEqual([]);
  });

  it('refuses it for now, until the time that it names', async () => {
    const { client, server, environment } = await connectingWorld();
    await server.open();
    await server.fail('connect', 'unavailable', 7_000);
    expect(client.state).toMatchObject({ name: 'waiting', retryAtMs: environment.wallMs() + 7_000 });
    expect(server.socket.closedWith?.code).toBe(4003);
    environment.goOnline();
    expect(client.state.name).toBe('waiting');
  });

  it('refuses it for now, and names no time', async () => {
    const world = await connectingWorld();
    world.environment.rolls.push(0.5);
    await world.server.open();
    await world.server.fail('connect', 'internal');
    expect(waitMs(world)).toBe(500);
  });

  it('may be asked again', async () => {
    const { client, server } = await onlineWorld();
    await server.disconnect(3503, 'kicked', null);
    const connected = client.connect();
    await server.accept({ session: 's2' });
    expect((await connected).session).toBe('s2');
    expect(client.state.name).toBe('online');
  });
});
