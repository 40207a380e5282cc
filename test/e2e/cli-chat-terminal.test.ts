import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { lastingPlace } from '../lasting-ports.ts';
import { ChatProcess } from './cli-chat-process.ts';
import { TcpClient } from './clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory } from './gateway-process.ts';

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let gateway: GatewayProcess;
const gateways: GatewayProcess[] = [];
const people: ChatProcess[] = [];
const clients: TcpClient[] = [];

beforeAll(async () => {
  directory = await temporaryDirectory();
  gateway = await startGateway(join(directory.path, 'data'));
});

afterEach(async () => {
  for (const person of people.splice(0)) person.kill();
  for (const client of clients.splice(0)) client.close();
  for (const other of gateways.splice(0)) await other.stop('SIGKILL');
});

afterAll(async () => {
  await gateway.stop('SIGKILL');
  await directory.remove();
});

/** Somebody at a terminal, who is in the rooms already. */
async function person(user: string, rooms: readonly string[], at = gateway, env = {}): Promise<ChatProcess> {
  const args = [
    '--url',
    `http://127.0.0.1:${at.ports.http}`,
    '--user',
    user,
    ...rooms.flatMap((room) => ['--room', room]),
  ];
  const opened = ChatProcess.atTerminal(args, env);
  people.push(opened);
  await opened.untilShown(`# connected as ${user}`);
  for (const room of rooms) await opened.untilShown(`# joined [${room}] as ${user}; what you type goes there`);
  return opened;
}

async function netcat(...lines: readonly string[]): Promise<TcpClient> {
  const client = await TcpClient.open(gateway.ports.tcp);
  clients.push(client);
  client.sendRaw(`${lines.join('\n')}\n`);
  return client;
}

async function heard(client: TcpClient, line: string): Promise<void> {
  await client.until(line, () => client.words.includes(line));
}

test('two people talk, one of them with netcat', async () => {
  const ann = await person('ann', ['tea']);
  const bob = await netcat('/connect bob', '/join tea');
  await ann.untilShown('* bob is online');
  ann.write('hello bob\r');
  await heard(bob, '[tea] ann: hello bob');
  bob.sendRaw('hello ann\n/status away lunch\n/msg ann psst\n');
  await ann.untilShown('[tea] bob: hello ann');
  await ann.untilShown('* bob is away: lunch');
  await ann.untilShown('[@user/ann] bob: psst');
  ann.write('/msg bob yes?\r');
  await ann.untilShown('# sent to [@user/bob]');
  await heard(bob, '[@user/bob] ann: yes?');
  ann.write('/who\r');
  await ann.untilShown('# [tea] 2 here: ann, bob (away: lunch)');
  ann.write('/who bob\r');
  await ann.untilShown('# bob is away: lunch');
  ann.write('//join is a command\r');
  await heard(bob, '[tea] ann: /join is a command');
  ann.write('/join coffee\rin coffee\r');
  await ann.untilShown('[coffee] ann: in coffee');
  ann.write('/leave\r/history 1\r/ping\r/status dnd\r/dance\r');
  await ann.untilShown('# left [coffee]; back in [tea]');
  await ann.untilShown('# that was [tea] (1)');
  await ann.untilShown('# pong');
  await ann.untilShown('# you are dnd now');
  await ann.untilShown(/^! bad_request: unknown command \/dance/);
  await heard(bob, '* ann is dnd');
  bob.sendRaw('/quit\n');
  await ann.untilShown('* bob is offline');
  ann.write('/quit\r');
  expect(await ann.exited()).toBe(0);
});

test.each([
  ['Ctrl-D', (ann: ChatProcess) => ann.write(CTRL_D)],
  ['Ctrl-C', (ann: ChatProcess) => ann.write(CTRL_C)],
  ['closing-the-window', (ann: ChatProcess) => ann.kill()],
])('%s is a goodbye', async (name, leave) => {
  const bob = await netcat('/connect bob', `/join ${name}`);
  await heard(bob, `# joined [${name}] as bob; what you type goes there`);
  const ann = await person('ann', [name]);
  await heard(bob, '* ann is online');
  leave(ann);
  // Of the terminal's own program, which kills, there is no code.
  expect((await ann.exited()) ?? 0).toBe(0);
  // Without a goodbye it would be there for its grace, which is longer than what is waited for here.
  await heard(bob, '* ann is offline');
});

test('what is typed stays as it is while others speak, and nobody can drive the terminal', async () => {
  const ann = await person('ann', ['loud']);
  ann.write('half a sen');
  await ann.until('what is typed', ({ output }) => output.endsWith('half a sen'));
  const bob = await TcpClient.open(gateway.ports.tcp);
  clients.push(bob);
  await bob.connect('bob');
  await bob.ok({ op: 'publish', room: 'loud', mid: 'm', data: { text: '\u001b[2J\u009b3J\rgone\u202e' } });
  await ann.untilShown('[loud] bob: \ufffd[2J\ufffd3J\ufffdgone\ufffd');
  await ann.until('the line again', ({ output }) => output.endsWith('\u001b[0Jloud> half a sen\u001b[17G'));
  expect(ann.output).not.toMatch(/\u009b|\u202e/);
  expect(ann.output).not.toContain('[2J\u009b');
  expect(ann.output).not.toContain('\u001b[2J');
  ann.write('tence\r');
  await ann.untilShown('[loud] ann: half a sentence');
});

test('colours are few, and none with NO_COLOR', async () => {
  const ann = await person('ann', ['plain']);
  expect(ann.output).toContain('\u001b[2m# connected as ann\u001b[0m');
  const bob = await person('bob', ['plain'], gateway, { NO_COLOR: '1' });
  expect(bob.output).toContain('# connected as bob\r\n');
  expect(bob.output).not.toContain('\u001b[2m');
});

test('a terminal that cannot move its cursor has lines alone', async () => {
  const ann = await person('ann', ['dumb'], gateway, { TERM: 'dumb' });
  ann.write('hello\n');
  await ann.untilShown('[dumb] ann: hello');
  expect(ann.output).not.toContain('\u001b');
  ann.write(CTRL_D);
  expect(await ann.exited()).toBe(0);
});

test('who is sent away is told why', async () => {
  const args = ['--url', `http://127.0.0.1:${gateway.ports.http}`, '--user', 'ann', '--device', 'laptop'];
  const ann = ChatProcess.atTerminal(args);
  people.push(ann);
  await ann.untilShown('# connected as ann');
  people.push(ChatProcess.piped([...args, '--room', 'r']));
  await ann.untilShown('! disconnected: the same user and device connected again (3504 replaced)');
  expect(await ann.exited()).toBe(3);
});

describe('a gateway that goes away and comes back', () => {
  async function gone(): Promise<{ ann: ChatProcess; comeBack(): Promise<void> }> {
    const data = join(directory.path, `data-${gateways.length}-${Date.now()}`);
    const env = await lastingPlace();
    const first = await startGateway(data, { env });
    gateways.push(first);
    const ann = await person('ann', ['tea'], first);
    await first.stop('SIGKILL');
    await ann.untilShown(/^# connection lost \(.*\); next try in \d+ s$/);
    const comeBack = async () => {
      gateways.push(await startGateway(data, { env }));
    };
    return { ann, comeBack };
  }

  test('is told of, and what was typed meanwhile is published then', async () => {
    const { ann, comeBack } = await gone();
    ann.write('are you there?\r');
    await comeBack();
    await ann.untilShown('# caught up');
    await ann.untilShown('[tea] ann: are you there?');
    expect(ann.lines.filter((line) => line === '# connected as ann')).toHaveLength(2);
  });

  test('is waited for by who leaves with something unsaid', async () => {
    const { ann, comeBack } = await gone();
    ann.write(`last words\r${CTRL_D}`);
    await ann.untilShown('# waiting for 1 message to be acknowledged; Ctrl-C leaves at once');
    await comeBack();
    expect(await ann.exited()).toBe(0);
    const [, again] = gateways;
    const bob = await TcpClient.open(again?.ports.tcp ?? 0);
    clients.push(bob);
    await bob.connect('bob');
    const { messages } = await bob.ok({ op: 'history', room: 'tea', limit: 10 });
    expect(messages).toEqual([expect.objectContaining({ from: 'ann', data: { text: 'last words' } })]);
  });

  test('is not waited for after Ctrl-C', async () => {
    const { ann } = await gone();
    ann.write(`last words\r${CTRL_D}`);
    await ann.untilShown(/^# waiting for 1 message/);
    ann.write(CTRL_C);
    expect(await ann.exited()).toBe(1);
    // Behind the echo of the key.
    expect(ann.lines.at(-1)).toMatch(/! 1 message not acknowledged$/);
  });
});
