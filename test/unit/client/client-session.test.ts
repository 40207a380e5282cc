import { describe, expect, it, vi } from 'vitest';
import { settled } from './fake-environment.ts';
import { connectingWorld, namesOf, onlineWorld, WELCOME, waited, worldOf } from './virtual-server.ts';

/** Gives t1, t2, … */
function counted(): () => Promise<string> {
  let calls = 0;
  return async () => {
    calls += 1;
    return `t${calls}`;
  };
}

describe('a client', () => {
  it('does nothing before it is told to connect', async () => {
    const { client, environment, states } = worldOf();
    await environment.pass(100_000);
    expect(client.state).toEqual({ name: 'closed', reason: 'not connected', code: null });
    expect(client.session).toBeNull();
    expect(environment.sockets).toEqual([]);
    expect(environment.timers).toEqual([]);
    expect(states).toEqual([]);
  });

  it('connects, says who it is, and is online', async () => {
    const { client, server, environment, states } = worldOf({
      user: 'ann',
      device: 'tab',
      client: 'test/1',
      token: 'jwt',
    });
    const connected = client.connect();
    expect(client.state).toEqual({ name: 'connecting' });
    expect(environment.socket.url).toBe('ws://gateway/ws');
    await server.open();
    expect(server.heard).toEqual([
      { id: 0, op: 'connect', user: 'ann', device: 'tab', client: 'test/1', token: 'jwt' },
    ]);
    await server.ok('connect', WELCOME);
    expect(client.state).toEqual({ name: 'online' });
    expect(client.session).toMatchObject({ session: 's1', node: 'n1', user: 'ann', limits: WELCOME.limits });
    expect(await connected).toBe(client.session);
    expect(namesOf(states)).toEqual(['connecting', 'online']);
  });

  it('connects once, whoever asks for it', async () => {
    const { client, environment, server } = worldOf();
    const first = client.connect();
    expect(client.connect()).toBe(first);
    await server.accept();
    expect(client.connect()).toBe(first);
    await server.end();
    expect(client.connect()).toBe(first);
    expect(environment.sockets).toHaveLength(1);
  });

  it('says nothing of itself that it does not know', async () => {
    const { server } = await connectingWorld();
    await server.open();
    expect(server.heard).toEqual([{ id: 0, op: 'connect' }]);
  });

  it('stays who it was, on the device that the server named', async () => {
    const { server, environment } = await onlineWorld();
    await server.end();
    await environment.pass(WELCOME.retryWindowMs);
    await server.open();
    expect(server.heard).toEqual([{ id: 0, op: 'connect', user: 'ann', device: 'd1' }]);
  });

  it('lets the token say who it is', async () => {
    const { server, environment } = await onlineWorld({ token: 'jwt' });
    await server.end();
    await environment.pass(WELCOME.retryWindowMs);
    await server.open();
    expect(server.heard).toEqual([{ id: 0, op: 'connect', token: 'jwt', device: 'd1' }]);
  });

  it('takes a URL as an object', async () => {
    const { environment } = await connectingWorld({ url: new URL('wss://gateway/ws') });
    expect(environment.socket.url).toBe('wss://gateway/ws');
  });

  it('that cannot have this URL is closed', async () => {
    const { client, environment, states } = worldOf();
    environment.takes = () => false;
    await expect(client.connect()).rejects.toMatchObject({ code: 'closed', message: /cannot open/ });
    expect(client.state).toEqual({ name: 'closed', reason: 'cannot open ws://gateway/ws', code: null });
    expect(namesOf(states)).toEqual(['connecting', 'closed']);
    expect(environment.timers).toEqual([]);
    expect(environment.onlineListeners).toBe(0);
  });
});

describe('a ticket', () => {
  it('is offered once', async () => {
    const world = await onlineWorld({}, { ticket: 'abc' });
    const { server, environment } = world;
    expect(environment.socket.subprotocols).toEqual(['tidegate.v1']);
    await server.end();
    await waited(world);
    expect(environment.socket.subprotocols).toEqual(['tidegate.v1', 'tidegate.ticket.abc']);
    await server.end();
    await waited(world);
    expect(environment.sockets).toHaveLength(3);
    expect(environment.socket.subprotocols).toEqual(['tidegate.v1']);
  });

  it('of the last session counts', async () => {
    const world = await onlineWorld({}, { ticket: 'abc' });
    const { server, environment } = world;
    await server.end();
    await waited(world);
    await server.accept({ ticket: 'def' });
    await server.end();
    await waited(world);
    expect(environment.socket.subprotocols).toEqual(['tidegate.v1', 'tidegate.ticket.def']);
  });

  it('that makes no subprotocol is no reason to stay away', async () => {
    const { client, server, environment } = await onlineWorld({}, { ticket: 'ü' });
    environment.takes = (_, subprotocols) => subprotocols.length === 1;
    await server.end();
    await environment.pass(WELCOME.retryWindowMs);
    await server.accept();
    expect(client.state.name).toBe('online');
  });
});

describe('a token', () => {
  it('is asked for before each connect', async () => {
    const { server, environment } = await onlineWorld({ token: counted() });
    expect(server.heard[0]?.token).toBe('t1');
    await server.end();
    await environment.pass(WELCOME.retryWindowMs);
    await server.open();
    expect(server.heard[0]?.token).toBe('t2');
  });

  it('that nobody gives is an error, and tried for again', async () => {
    let calls = 0;
    const token = () => {
      calls += 1;
      if (calls === 1) throw new Error('no login');
      return 't';
    };
    const world = worldOf({ token });
    const errors = vi.fn();
    world.client.on('error', errors);
    world.environment.rolls.push(0.5);
    void world.client.connect();
    await settled();
    expect(errors.mock.calls).toMatchObject([[{ code: 'token_failed', message: 'token_failed: no login' }]]);
    expect(world.client.state).toMatchObject({ name: 'waiting', reason: 'token_failed: no login' });
    expect(world.environment.sockets).toEqual([]);
    await world.environment.pass(500);
    await world.server.accept();
    expect(world.client.state.name).toBe('online');
  });

  it('that comes too late opens nothing', async () => {
    const gives: ((token: string) => void)[] = [];
    const token = () => new Promise<string>((resolve) => gives.push(resolve));
    const { client, environment } = await connectingWorld({ token, connectTimeoutMs: 2_000 });
    await environment.pass(2_000);
    expect(client.state.name).toBe('waiting');
    gives[0]?.('late');
    await settled();
    expect(environment.sockets).toEqual([]);
    await environment.pass(1_000);
    expect(client.state.name).toBe('connecting');
    void client.close();
    gives[1]?.('behind the close');
    await settled();
    expect(environment.sockets).toEqual([]);
    expect(environment.timers).toEqual([]);
  });

  it('is put in the place of one that runs out', async () => {
    const world = worldOf({ token: counted() });
    void world.client.connect();
    await settled();
    await world.server.accept({ expiresAtMs: world.environment.wallMs() + 30_000 });
    await world.environment.pass(24_000);
    expect(await world.server.ok('refresh', { expiresAtMs: world.environment.wallMs() + 40_000 })).toMatchObject({
      token: 't2',
    });
    await world.environment.pass(32_000);
    expect(world.server.take('refresh')).toMatchObject({ token: 't3' });
  });

  it('is not asked for while there is no session', async () => {
    const token = vi.fn(counted());
    const world = worldOf({ token });
    void world.client.connect();
    await settled();
    await world.server.accept({ expiresAtMs: world.environment.wallMs() + 10_000 });
    await world.server.disconnect(3000, 'drain', { afterMs: 60_000 });
    await world.environment.pass(59_999);
    expect(token).toHaveBeenCalledTimes(1);
  });

  it('that is refused in the middle of a session is an error, and the session goes on', async () => {
    const world = worldOf({ token: async () => 't' });
    const errors = vi.fn();
    world.client.on('error', errors);
    void world.client.connect();
    await settled();
    await world.server.accept({ expiresAtMs: world.environment.wallMs() + 30_000 });
    await world.environment.pass(24_000);
    await world.server.fail('refresh', 'unauthorized');
    expect(errors.mock.calls).toMatchObject([[{ code: 'unauthorized' }]]);
    expect(world.client.state.name).toBe('online');
    await world.environment.pass(4_800);
    expect(world.server.unanswered).toMatchObject([{ op: 'refresh' }]);
  });

  it('of a session that is over is not refreshed in the next one', async () => {
    const world = worldOf({ token: counted() });
    void world.client.connect();
    await settled();
    await world.server.accept({ expiresAtMs: world.environment.wallMs() + 30_000 });
    await world.environment.pass(24_000);
    expect(world.server.unanswered).toMatchObject([{ op: 'refresh' }]);
    await world.server.end();
    await world.environment.pass(WELCOME.retryWindowMs);
    await world.server.accept({ expiresAtMs: world.environment.wallMs() + 30_000 });
    await world.environment.pass(23_999);
    expect(world.server.heard.map(({ op }) => op)).toEqual(['connect']);
  });
});
