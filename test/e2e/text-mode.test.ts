import { spawn } from 'node:child_process';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { TcpClient } from './clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory } from './gateway-process.ts';

let gateway: GatewayProcess;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
const clients: TcpClient[] = [];

beforeAll(async () => {
  directory = await temporaryDirectory();
  gateway = await startGateway(directory.path);
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

afterAll(async () => {
  await gateway.stop();
  await directory.remove();
});

/** A person: types lines, and reads until a line comes that is meant. */
class Person {
  readonly client: TcpClient;
  #read = 0;

  constructor(client: TcpClient) {
    this.client = client;
  }

  static async open(): Promise<Person> {
    const client = await TcpClient.open(gateway.ports.tcp);
    clients.push(client);
    return new Person(client);
  }

  type(line: string | Buffer): void {
    this.client.sendRaw(typeof line === 'string' ? `${line}\n` : line);
  }

  /** The next line shown that is no news of who is there: those come in their own time. */
  async reads(): Promise<string> {
    for (;;) {
      const line = await this.client.until('a line', () => this.client.words[this.#read]);
      this.#read += 1;
      if (!line.startsWith('* ')) return line;
    }
  }

  async says(line: string): Promise<string> {
    this.type(line);
    return this.reads();
  }
}

test('two people chat', async () => {
  const [ann, bob] = [await Person.open(), await Person.open()];
  expect(await ann.says('/connect ann')).toBe('# you are ann; /join ROOM to chat, /help for more');
  expect(await ann.says('/join tea')).toBe('# joined [tea] as ann; what you type goes there');
  expect(await bob.says('/nick bob')).toContain('# you are bob');
  expect(await bob.says('/join tea')).toContain('# joined [tea] as bob');
  expect(await ann.says('good morning')).toBe('[tea] ann: good morning');
  expect(await bob.reads()).toBe('[tea] ann: good morning');
  expect(await bob.says('hello, ann')).toBe('[tea] bob: hello, ann');
  expect(await ann.reads()).toBe('[tea] bob: hello, ann');
  expect(await bob.says('/msg ann  psst')).toBe('# sent to [@user/ann]');
  expect(await ann.reads()).toBe('[@user/ann] bob: psst');
  expect(await ann.says('/history 1')).toBe('[tea] bob: hello, ann');
  expect(await ann.reads()).toBe('# that was [tea] (1)');
  expect(await ann.says('/ping')).toBe('# pong');
  expect(await ann.says('/leave')).toBe('# left [tea]');
  ann.type('/quit');
  await ann.client.untilClosed();
  expect(await bob.says('gone?')).toBe('[tea] bob: gone?');
});

test('who joins without a name is a guest, sees what was said, and can be in several rooms', async () => {
  const ann = await Person.open();
  await ann.says('/connect ann');
  await ann.says('/join one');
  await ann.says('first words');
  const guest = await Person.open();
  expect(await guest.says('/join one')).toMatch(/^# you are guest-/);
  expect(await guest.reads()).toMatch(/^# joined \[one\] as guest-/);
  expect(await guest.reads()).toBe('[one] ann: first words');
  expect(await guest.says('/join two')).toContain('# joined [two]');
  expect(await guest.says('in two')).toMatch(/^\[two\] guest-[0-9a-f]+: in two$/);
  expect(await guest.says('/join one')).toBe('# back in [one]');
  expect(await guest.says('in one')).toMatch(/^\[one\] guest-/);
  expect(await guest.says('/leave')).toBe('# left [one]; back in [two]');
});

test('what cannot be done is said', async () => {
  const person = await Person.open();
  expect(await person.says('hello?')).toMatch(/^! not_joined: no room yet/);
  expect(await person.says('/dance')).toMatch(/^! bad_request: unknown command \/dance/);
  expect(await person.says('/join')).toBe('! bad_request: usage: /join ROOM');
  expect(await person.says('/join a%b')).toMatch(/^! bad_request: a room is/);
  expect(await person.says('/connect a b c')).toMatch(/^! bad_request: usage/);
  expect(await person.says('/connect ann')).toContain('# you are ann');
  expect(await person.says('/connect bob')).toMatch(/^! bad_request: you are ann already/);
  expect(await person.says('/join @user/bob')).toMatch(/^! forbidden:/);
  expect(await person.says('/history 1000')).toMatch(/^! bad_request: usage/);
  expect(await person.says('/leave')).toMatch(/^! not_joined/);
  expect(await person.says('/msg bob')).toBe('! bad_request: usage: /msg USER TEXT');
  person.type(Buffer.from([0xff, 0x0a]));
  expect(await person.reads()).toMatch(/^! bad_request: the line is not UTF-8/);
  expect(await person.says('/help')).toMatch(/^# \/connect/);
});

test("nobody can drive another one's terminal", async () => {
  const [ann, writer] = [await Person.open(), await TcpClient.open(gateway.ports.tcp)];
  clients.push(writer);
  await ann.says('/join harmless');
  await ann.reads();
  await writer.connect('writer');
  const evil = ['\u001b[2J', '\u009b2J', 'a\rb', 'a\nb', '\u202edlrow', '\u2066x', 'a\u2028b', '\u0007', 'a\u0000b'];
  for (const [i, text] of evil.entries()) {
    await writer.ok({ op: 'publish', room: 'harmless', mid: `evil-${i}`, data: { text } });
    const line = await ann.reads();
    expect(line).toMatch(/^\[harmless\] writer: /);
    expect(line).toContain('\ufffd');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/);
  }
  // Echoed errors as well, and data that is no text.
  expect(await ann.says('/\u001b[31mred')).not.toContain('\u001b');
  await writer.ok({ op: 'publish', room: 'harmless', mid: 'data', data: { other: ['\u001b'] } });
  expect(await ann.reads()).toBe('[harmless] writer: {"other":["\\u001b"]}');
});

test('netcat itself can be used', async () => {
  const nc = spawn('nc', ['-N', '127.0.0.1', String(gateway.ports.tcp)]);
  let shown = '';
  nc.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  nc.stdin.end('/connect nc\n/join netcat\nhello from nc\n');
  await new Promise((resolve) => nc.once('close', resolve));
  // The publisher's own message may come behind its acknowledgement, and so behind the end.
  expect(shown).toMatch(/^# you are nc.*\n# joined \[netcat\]/);
  const reader = await Person.open();
  await reader.says('/join netcat');
  await reader.reads();
  expect(await reader.reads()).toBe('[netcat] nc: hello from nc');
});
