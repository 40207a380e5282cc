import { describe, expect, it } from 'vitest';
import { HELP, readCommandLine, UsageError } from '../../../src/chat/command-line.ts';

const read = (
  line: string,
  { env = {}, isTerminal = false }: { env?: Record<string, string>; isTerminal?: boolean } = {},
) =>
  readCommandLine(
    line.split(' ').filter((word) => word !== ''),
    env,
    isTerminal,
  );

describe('the command line of a chat', () => {
  it('has what most want as its defaults, at a terminal and in a pipe', () => {
    const alike = { url: 'ws://127.0.0.1:8080/ws', user: null, device: null, token: null, once: false, json: false };
    expect(read('', { isTerminal: true })).toEqual({
      ...alike,
      rooms: [],
      history: 10,
      waitMs: null,
      isInteractive: true,
    });
    expect(read('--room tea')).toEqual({ ...alike, rooms: ['tea'], history: 0, waitMs: null, isInteractive: false });
    expect(read('--room tea --once')).toMatchObject({ once: true, waitMs: 60_000 });
  });

  it('takes everything that can be said', () => {
    const line =
      '--url wss://chat.example/ws --room a --room b --user ann --device d --token t --history 300 --json --wait 5';
    expect(read(line, { isTerminal: true })).toEqual({
      url: 'wss://chat.example/ws',
      rooms: ['a', 'b'],
      user: 'ann',
      device: 'd',
      token: 't',
      history: 300,
      once: false,
      json: true,
      waitMs: 5_000,
      isInteractive: false,
    });
  });

  it.each([
    ['http://localhost:8080', 'ws://localhost:8080/ws'],
    ['http://localhost:8080/', 'ws://localhost:8080/ws'],
    ['https://chat.example', 'wss://chat.example/ws'],
    ['ws://[::1]:9', 'ws://[::1]:9/ws'],
    ['https://example.test/behind/a/proxy?x=1', 'wss://example.test/behind/a/proxy?x=1'],
  ])('connects for %s to %s', (given, url) => {
    expect(read(`--room r --url ${given}`)).toMatchObject({ url });
  });

  it('is not interactive where only one side is a terminal, or programs are to read it', () => {
    expect(read('--room r', { isTerminal: false })).toMatchObject({ isInteractive: false });
    expect(read('--room r --once', { isTerminal: true })).toMatchObject({ isInteractive: false });
    expect(read('--room r --json', { isTerminal: true })).toMatchObject({ isInteractive: false });
  });

  it('takes the token from the environment, where the command line has none', () => {
    expect(read('--room r', { env: { CHAT_TOKEN: 'e' } })).toMatchObject({ token: 'e' });
    expect(read('--room r --token c', { env: { CHAT_TOKEN: 'e' } })).toMatchObject({ token: 'c' });
    expect(read('--room r', { env: { CHAT_TOKEN: '' } })).toMatchObject({ token: null });
  });

  it('puts a room that is named twice where it was named last', () => {
    expect(read('--room a --room b --room a')).toMatchObject({ rooms: ['b', 'a'] });
  });

  it('asks for help, whatever else is said', () => {
    expect(read('--help')).toBeNull();
    expect(read('--once -h')).toBeNull();
    for (const option of ['url', 'room', 'user', 'device', 'token', 'history', 'once', 'json', 'wait']) {
      expect(HELP).toMatch(new RegExp(`^ +--${option} `, 'm'));
    }
  });

  it.each([
    ['', /--room is missing/],
    ['--once', /--room is missing/],
    ['tea', /Unexpected argument 'tea'/],
    ['--rom tea', /Unknown option '--rom'/],
    ['--room', /argument missing/],
    ['--room a%b', /--room "a%b" is not valid; expected 1–128 of/],
    ['--room r --user a,b', /--user "a,b" is not valid; expected 1–120/],
    ['--room r --device ä', /--device "ä"/],
    ['--room r --token ä', /^the token is not valid/],
    ['--room r --history 301', /--history "301" is not valid; expected a number from 0 to 300/],
    ['--room r --history 1.5', /--history "1.5"/],
    ['--room r --wait 0', /--wait "0"/],
    ['--room r --wait soon', /--wait "soon"/],
    ['--room r --once --history 1', /--once reads nothing/],
    ['--room r --url localhost:8080', /--url "localhost:8080" is not valid; expected one such as ws:/],
    ['--room r --url chat', /--url "chat"/],
    ['--room r --url ws://ann:secret@localhost', /--url/],
    ['--room r --url ws://localhost/ws#x', /--url/],
  ])('refuses "%s" in words', (line, message) => {
    const reading = () => read(line);
    expect(reading).toThrow(message);
    expect(reading).toThrow(UsageError);
  });
});
