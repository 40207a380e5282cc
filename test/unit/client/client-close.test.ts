import { describe, expect, it, vi } from 'vitest';
import { settled } from './fake-environment.ts';
import { namesOf, onlineWorld, outcomeOf, page, waited, waitMs, worldOf } from './virtual-server.ts';

describe('closing', () => {
  it('is a goodbye, and done when the socket has closed', async () => {
    const { client, server, environment, states } = await onlineWorld();
    let isDone = false;
    void client.close().then(() => {
      isDone = true;
    });
    expect(client.state).toEqual({ name: 'closed', reason: 'closed', code: null });
    expect(server.socket.closedWith).toEqual({ code: 1000, reason: '' });
    void client.close();
    await settled();
    expect(isDone).toBe(false);
    await server.end(1000);
    expect(isDone).toBe(true);
    expect(environment.timers).toEqual([]);
    expect(environment.onlineListeners).toBe(0);
    expect(namesOf(states)).toEqual(['connecting', 'online', 'closed']);
  });

  it('twice is done when the socket has closed as well', async () => {
    const { client, server } = await onlineWorld();
    void client.close();
    const isDone = vi.fn();
    void client.close().then(isDone);
    await settled();
    expect(isDone).not.toHaveBeenCalled();
    await server.end(1000);
    expect(isDone).toHaveBeenCalled();
  });

  it('is done at once where there is no socket', async () => {
    const { client } = worldOf();
    await client.close();
    await expect(client.ping()).rejects.toMatchObject({ code: 'closed' });
  });

  it('calls off a try', async () => {
    const { client, environment, server } = worldOf();
    const connected = client.connect();
    await server.open();
    void client.close();
    await expect(connected).rejects.toMatchObject({ code: 'closed', message: 'closed: closed' });
    await server.end(1000);
    expect(environment.timers).toEqual([]);
  });

  it('calls off a wait', async () => {
    const { client, environment, server } = await onlineWorld();
    await server.end();
    await client.close();
    expect(environment.timers).toEqual([]);
    await environment.pass(100_000);
    expect(environment.sockets).toHaveLength(1);
  });

  it('leaves no timer, whatever waited', async () => {
    const { client, server, environment } = await onlineWorld();
    const room = client.room('tea');
    const outcomes = [room.join(), client.ping(), room.publish(1)].map((promise) => outcomeOf<unknown>(promise));
    await settled();
    await server.fail('join', 'overloaded', 9_000);
    await server.fail('ping', 'overloaded', 8_000);
    await server.fail('publish', 'overloaded', 7_000);
    environment.goOnline();
    await settled();
    void client.close();
    await server.end(1000);
    expect(environment.timers).toEqual([]);
    expect(outcomes).toMatchObject(Array(3).fill({ error: { code: 'closed' } }));
  });

  it('leaves no timer while a fresh token is waited for', async () => {
    let calls = 0;
    const token = () => {
      calls += 1;
      return calls === 1 ? 't1' : new Promise<string>(() => {});
    };
    const world = worldOf({ token });
    const errors = vi.fn();
    world.client.on('error', errors);
    void world.client.connect();
    await settled();
    await world.server.accept({ expiresAtMs: world.environment.wallMs() + 10_000 });
    await world.environment.pass(8_000);
    expect(calls).toBe(2);
    void world.client.close();
    await world.server.end(1000);
    expect(world.environment.timers).toEqual([]);
    await world.environment.pass(60_000);
    expect(errors).not.toHaveBeenCalled();
  });

  it.each(['given', 'refused'])('is not undone by a token that is %s afterwards', async (how) => {
    const requests: { readonly resolve: (token: string) => void; readonly reject: (error: Error) => void }[] = [];
    const token = () => new Promise<string>((resolve, reject) => requests.push({ resolve, reject }));
    const settle = async () => {
      const request = requests.pop();
      if (how === 'given') request?.resolve('late');
      else request?.reject(new Error('late'));
      await settled();
    };
    const world = worldOf({ token });
    const errors = vi.fn();
    world.client.on('error', errors);
    // Before there is a socket.
    outcomeOf(world.client.connect());
    await settled();
    await world.client.close();
    await settle();
    expect(world.environment.sockets).toEqual([]);
    // While a fresh one is waited for.
    outcomeOf(world.client.connect());
    await settled();
    requests.pop()?.resolve('t1');
    await settled();
    await world.server.accept({ expiresAtMs: world.environment.wallMs() + 10_000 });
    await world.environment.pass(8_000);
    expect(requests).toHaveLength(1);
    void world.client.close();
    await settle();
    await world.server.end(1000);
    expect(world.client.state.name).toBe('closed');
    expect(world.environment.timers).toEqual([]);
    expect(errors).not.toHaveBeenCalled();
  });

  it('forgets which rooms were to wait', async () => {
    const world = await onlineWorld();
    const room = world.client.room('tea');
    outcomeOf(room.publish(1));
    await world.server.fail('publish', 'overloaded', 9_000);
    void world.client.close();
    await world.server.end(1000);
    outcomeOf(world.client.connect());
    await world.server.accept();
    outcomeOf(room.publish(2));
    await settled();
    expect(world.server.unanswered).toMatchObject([{ op: 'publish', data: 2 }]);
  });

  it('makes the tries begin anew', async () => {
    const world = await onlineWorld({}, { retryWindowMs: 4_000 });
    for (let i = 0; i < 5; i += 1) {
      await world.server.end();
      await waited(world);
    }
    void world.client.close();
    await world.server.end(1000);
    outcomeOf(world.client.connect());
    world.environment.rolls.push(0.5);
    await world.server.end();
    expect(waitMs(world)).toBe(2_000);
  });

  it('may be undone: it connects anew, and to the same rooms', async () => {
    const { client, server } = await onlineWorld();
    const room = client.room('tea');
    const joined = room.join();
    await settled();
    await server.ok('join', page([], 7));
    await joined;
    void client.close();
    await server.end(1000);
    const connected = client.connect();
    await server.accept({ session: 's2' });
    await connected;
    expect(server.take('join')).toMatchObject({ room: 'tea', since: { epoch: 'e', offset: 7 } });
  });

  it('within a listener of a state is heeded', async () => {
    const { client, server, environment } = await onlineWorld();
    client.on('state', ({ name }) => {
      if (name === 'waiting') void client.close();
    });
    await server.end();
    expect(client.state.name).toBe('closed');
    await environment.pass(100_000);
    expect(environment.timers).toEqual([]);
    expect(environment.sockets).toHaveLength(1);
  });

  it('with a room that was never joined harms nobody', async () => {
    const { client, server } = await onlineWorld();
    const published = outcomeOf(client.room('tea').publish(1));
    void client.close();
    await server.end(1000);
    expect(published.error).toMatchObject({ code: 'closed' });
  });
});
