import { beforeEach, describe, expect, it } from 'vitest';
import { CommandGate, WATCHES } from '../../../src/gateway/command-gate.ts';
import { BOUNDS } from '../../../src/protocol/bounds.ts';
import type { Command } from '../../../src/protocol/commands.ts';
import { isRoom } from '../../../src/protocol/names.ts';
import { OPS } from '../../../src/protocol/reader.ts';

let gate: CommandGate;
let ended = 0;

beforeEach(() => {
  ended = 0;
  gate = new CommandGate({
    goOn: () => {
      ended += 1;
    },
  });
});

/** A command of an op, in room `a` where it has one. */
function command(op: Command['op'], room = 'a'): Command {
  const fields = { id: 1, room, mid: 'm', data: '1', limit: 1, users: ['ann'], status: 'online', token: 't' };
  return { op, ...fields } as unknown as Command;
}

/** The ops that may begin now, in a room where they have one. */
function begin(room = 'a'): string[] {
  return OPS.filter((op) => gate.mayBegin(command(op, room)));
}

function without(...ops: readonly Command['op'][]): string[] {
  return OPS.filter((op) => !ops.includes(op));
}

describe('ids', () => {
  it('are unanswered from being asked to being answered', () => {
    expect(gate.unansweredCount).toBe(0);
    expect(gate.isUnanswered(1)).toBe(false);
    gate.answered(1);
    gate.asked(1);
    gate.asked(0);
    gate.asked(Number.MAX_SAFE_INTEGER);
    expect(gate.unansweredCount).toBe(3);
    expect([0, 1, 2, Number.MAX_SAFE_INTEGER].map((id) => gate.isUnanswered(id))).toEqual([true, true, false, true]);
    gate.answered(1);
    gate.answered(1);
    expect(gate.unansweredCount).toBe(2);
    expect(gate.isUnanswered(1)).toBe(false);
    expect(ended).toBe(0);
  });
});

describe('a command', () => {
  it('may begin where nothing is under way, and so may a line that is none', () => {
    expect(begin()).toEqual(OPS);
    expect(gate.mayBegin(null)).toBe(true);
  });

  it('waits while it is not known who asks, whatever it is', () => {
    const done = gate.identifyBegun();
    expect(begin()).toEqual([]);
    expect(gate.mayBegin(null)).toBe(false);
    done();
    expect(ended).toBe(1);
    expect(begin()).toEqual(OPS);
    expect(gate.mayBegin(null)).toBe(true);
  });

  it('that publishes waits behind as many as may be unanswered, and others don’t', () => {
    for (let i = 0; i < BOUNDS.publishesUnansweredMax; i += 1) {
      expect(begin()).toEqual(OPS);
      gate.publishBegun();
    }
    expect(begin()).toEqual(without('publish'));
    expect(begin('b')).toEqual(without('publish'));
    gate.publishEnded();
    expect(ended).toBe(1);
    expect(begin()).toEqual(OPS);
    gate.publishBegun();
    expect(begin()).toEqual(without('publish'));
  });

  it('of a room waits for the read under way in it', () => {
    const done = gate.readBegun('a');
    expect(begin('a')).toEqual(without('join', 'leave', 'history', 'signal', 'presence'));
    expect(begin('b')).toEqual(OPS);
    done();
    expect(ended).toBe(1);
    expect(begin('a')).toEqual(OPS);
  });

  it('that reads waits behind as many reads as may be under way, of whatever', () => {
    const reads = ['join', 'history', 'presence', 'watch', 'unwatch'] as const;
    const first = gate.readBegun('a');
    const second = gate.readBegun(null);
    expect(begin('c')).toEqual(without(...reads));
    first();
    expect(begin('c')).toEqual(OPS);
    expect(begin('a')).toEqual(OPS);
    gate.readBegun('b');
    expect(begin('c')).toEqual(without(...reads));
    expect(begin('b')).toEqual(without(...reads, 'leave', 'signal'));
    second();
    expect(begin('c')).toEqual(OPS);
    expect(ended).toBe(2);
  });

  it('that reads presence makes no room busy', () => {
    gate.readBegun(null);
    for (const room of ['a', 'null']) expect(begin(room)).toEqual(OPS);
  });

  it('that watches waits for the one before, and no room does', () => {
    const done = gate.readBegun(WATCHES);
    expect(begin()).toEqual(without('watch', 'unwatch'));
    expect(isRoom(WATCHES)).toBe(false);
    done();
    expect(begin()).toEqual(OPS);
  });

  it('is let on by each end on its own', () => {
    const identified = gate.identifyBegun();
    gate.publishBegun();
    const read = gate.readBegun('a');
    gate.publishEnded();
    read();
    expect(begin()).toEqual([]);
    identified();
    expect(begin()).toEqual(OPS);
    expect(ended).toBe(3);
  });

  it('may begin from within the call that tells of the end', () => {
    const seen: boolean[] = [];
    const own: CommandGate = new CommandGate({ goOn: () => seen.push(own.mayBegin(command('join'))) });
    const done = own.readBegun('a');
    expect(own.mayBegin(command('join'))).toBe(false);
    done();
    own.identifyBegun()();
    own.publishBegun();
    own.publishEnded();
    expect(seen).toEqual([true, true, true]);
  });
});
