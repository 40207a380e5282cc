import { describe, expect, it } from 'vitest';
import { begin, beginOpen, endOf } from './connection-world.ts';
import { settled } from './fake-environment.ts';

describe('silence', () => {
  const SILENCE = { reason: 'silence', code: 4000, afterMs: null, isFinal: false };

  it('before there is a session ends the connection, whatever else was said', async () => {
    const world = begin();
    await world.environment.pass(5_000);
    world.socket.opens();
    world.socket.says({ push: 'news' });
    await world.environment.pass(9_999);
    expect(endOf(world)).toBeUndefined();
    await world.environment.pass(1);
    expect(endOf(world)).toEqual(SILENCE);
    expect(world.socket.closedWith?.code).toBe(4000);
    expect(world.environment.timers).toEqual([]);
  });

  it('of one and a half heartbeats and 10 s ends it', async () => {
    const world = beginOpen();
    await world.environment.pass(14_000);
    world.connection.expectHeartbeats(20_000);
    await world.environment.pass(39_999);
    expect(endOf(world)).toBeUndefined();
    await world.environment.pass(1);
    expect(endOf(world)).toEqual(SILENCE);
  });

  it('begins anew with each word', async () => {
    const world = beginOpen();
    world.connection.expectHeartbeats(20_000);
    for (let i = 0; i < 5; i += 1) {
      await world.environment.pass(39_000);
      world.socket.says({ push: 'heartbeat' });
    }
    await world.environment.pass(39_999);
    expect(endOf(world)).toBeUndefined();
    await world.environment.pass(1);
    expect(endOf(world)).toEqual(SILENCE);
  });

  it('is watched with one timer at most', async () => {
    const { connection, socket, environment } = beginOpen();
    connection.expectHeartbeats(20_000);
    for (let i = 0; i < 10; i += 1) {
      await environment.pass(1_000);
      socket.says({ push: 'news' });
    }
    expect(environment.timers).toHaveLength(1);
  });

  it('is nothing where the server has no heartbeats', async () => {
    const world = beginOpen();
    world.connection.expectHeartbeats(0);
    await world.environment.pass(86_400_000);
    expect(endOf(world)).toBeUndefined();
    expect(world.environment.timers).toEqual([]);
  });

  it('while the computer slept is none', async () => {
    const world = beginOpen();
    world.connection.expectHeartbeats(20_000);
    await world.environment.pass(30_000);
    world.environment.sleep(3_600_000);
    await world.environment.pass(9_999);
    expect(endOf(world)).toBeUndefined();
  });

  it('is looked at anew by a timer that is late', async () => {
    const world = beginOpen();
    world.connection.expectHeartbeats(20_000);
    await world.environment.pass(39_000);
    world.socket.says({ push: 'heartbeat' });
    await world.environment.freeze(20_000);
    expect(endOf(world)).toBeUndefined();
    await world.environment.freeze(60_000);
    expect(endOf(world)).toEqual(SILENCE);
  });
});

describe('a probe', () => {
  it('gives the server up that does not answer in 5 s', async () => {
    const world = beginOpen();
    world.connection.expectHeartbeats(20_000);
    await world.environment.pass(1_000);
    world.connection.probe();
    await settled();
    expect(world.socket.sent).toEqual(['{"id":0,"op":"ping"}']);
    await world.environment.pass(4_999);
    expect(endOf(world)).toBeUndefined();
    await world.environment.pass(1);
    expect(endOf(world)).toMatchObject({ reason: 'silence', isFinal: false });
    expect(world.environment.timers).toEqual([]);
  });

  it('is content with any word', async () => {
    const world = beginOpen();
    world.connection.expectHeartbeats(20_000);
    await world.environment.pass(1_000);
    world.connection.probe();
    await world.environment.pass(4_000);
    world.socket.says({ push: 'news' });
    await world.environment.pass(30_000);
    expect(endOf(world)).toBeUndefined();
  });

  it('is content with a word of the same moment', async () => {
    const world = beginOpen();
    world.connection.expectHeartbeats(20_000);
    await world.environment.pass(1_000);
    world.socket.says({ push: 'news' });
    world.connection.probe();
    await world.environment.pass(30_000);
    expect(endOf(world)).toBeUndefined();
  });

  it('begins anew with the next one', async () => {
    const world = beginOpen();
    world.connection.expectHeartbeats(20_000);
    await world.environment.pass(1_000);
    world.connection.probe();
    await world.environment.pass(4_000);
    world.connection.probe();
    await world.environment.pass(4_999);
    expect(endOf(world)).toBeUndefined();
    await world.environment.pass(1);
    expect(endOf(world)).toMatchObject({ reason: 'silence' });
  });

  it('of a connection that has ended does nothing', async () => {
    const world = beginOpen();
    world.connection.expectHeartbeats(20_000);
    await world.environment.pass(1_000);
    world.connection.probe();
    world.socket.closes(1006);
    await world.environment.pass(10_000);
    expect(world.told).toHaveLength(1);
    expect(world.environment.timers).toEqual([]);
  });
});
