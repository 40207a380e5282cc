import { describe, expect, it } from 'vitest';
import { COMMANDS, readTyped } from '../../../src/chat/typed-line.ts';

describe('a typed line', () => {
  it.each([
    ['hello', { wish: 'say', text: 'hello' }],
    ['  two  words  ', { wish: 'say', text: '  two  words' }],
    ['//join x', { wish: 'say', text: '/join x' }],
    ['//', { wish: 'say', text: '/' }],
    ['/join tea', { wish: 'join', room: 'tea' }],
    ['/join  @user/ann ', { wish: 'join', room: '@user/ann' }],
    ['/leave', { wish: 'leave', room: null }],
    ['/leave tea', { wish: 'leave', room: 'tea' }],
    ['/msg bob  hi  there', { wish: 'message', user: 'bob', text: 'hi  there' }],
    ['/who', { wish: 'who', name: null }],
    ['/who bob', { wish: 'who', name: 'bob' }],
    ['/status dnd', { wish: 'status', status: 'dnd', text: undefined }],
    ['/status away  at lunch ', { wish: 'status', status: 'away', text: 'at lunch' }],
    ['/history', { wish: 'history', limit: 20 }],
    ['/history 300', { wish: 'history', limit: 300 }],
    ['/ping', { wish: 'ping' }],
    ['/help', { wish: 'help' }],
    ['/quit', { wish: 'quit' }],
  ])('%j is understood', (line, typed) => {
    expect(readTyped(line)).toEqual(typed);
  });

  it.each([
    ['/dance', /unknown command \/dance/],
    ['/', /unknown command \//],
    ['/Join tea', /unknown command \/Join/],
    ['/join', /usage: \/join ROOM/],
    ['/join a b', /usage: \/join ROOM/],
    ['/join a%b', /a room is 1–128 of/],
    ['/leave a b', /usage: \/leave/],
    ['/msg bob', /usage: \/msg USER TEXT/],
    ['/msg b%b hi', /b%b is no user's name/],
    [`/msg ${'b'.repeat(123)} hi`, /is no user's name/],
    ['/who a b', /usage: \/who/],
    ['/who a%b', /a%b is no name/],
    ['/status', /usage: \/status/],
    ['/status offline', /usage: \/status/],
    [`/status away ${'ä'.repeat(71)}`, /longer than 140 bytes/],
    ['/history 0', /usage: \/history/],
    ['/history 301', /usage: \/history/],
    ['/history x', /usage: \/history/],
    ['/history 1 2', /usage: \/history/],
  ])('%j is refused in words', (line, message) => {
    expect(readTyped(line)).toEqual({ wish: 'nothing', message: expect.stringMatching(message) });
  });

  it('that is blank is nothing', () => {
    expect(readTyped('')).toBeNull();
    expect(readTyped(' \t ')).toBeNull();
  });

  it('can be any command that the help lists', () => {
    for (const command of COMMANDS.map((line) => /^\/[a-z]+/.exec(line)?.[0]).filter((name) => name !== undefined)) {
      const typed = readTyped(command);
      expect(typed?.wish === 'nothing' ? typed.message : typed?.wish).not.toContain('unknown');
    }
  });
});
