// Makes the pictures of docs/images: a real gateway, a few people in it, and what they see.

import { mkdir } from 'node:fs/promises';
import { startBrowser } from '../test/e2e/browser.ts';
import { type Client, TcpClient } from '../test/e2e/clients.ts';
import { startGateway, temporaryDirectory, UNLIMITED } from '../test/e2e/gateway-process.ts';

const FOLDER = new URL(process.argv[2] ?? '../docs/images/', import.meta.url);
const QUALITY = { scale: 'css', animations: 'disabled', caret: 'hide' } as const;

const TALK: readonly (readonly [string, string])[] = [
  ['mira', 'Tide tables for the week are in. Low water on Thursday at 06:12, so the hull can be looked at then.'],
  ['jonas', 'I can be there at six with the lamp'],
  ['jonas', 'who brings coffee?'],
  ['ann', 'Me. Two flasks.'],
  [
    'mira',
    'Then bring the long brush as well, please:\n  1. keel\n  2. propeller\n  3. the waterline, if there is time',
  ],
  ['layla', 'مرحبا! أنا في الميناء حتى السابعة'],
  ['ann', 'Great, see you all there'],
  ['otto', 'The crane is free from eight on, I have put us down for it. It takes 12 t and costs nothing before noon.'],
  ['mira', 'Perfect. Thank you, Otto!'],
];

const directory = await temporaryDirectory();
const gateway = await startGateway(directory.path, { env: { ...UNLIMITED, TIDEGATE_GRACE_MS: '0' } });
const browser = await startBrowser();
const clients = new Map<string, Client>();
let mids = 0;

async function clientOf(user: string): Promise<Client> {
  const known = clients.get(user);
  if (known !== undefined) return known;
  const client = await TcpClient.open(gateway.ports.tcp);
  clients.set(user, client);
  await client.connect(user, { device: 'desk' });
  return client;
}

async function say(user: string, room: string, text: string): Promise<void> {
  mids += 1;
  await (await clientOf(user)).ok({ op: 'publish', room, mid: `mid-${mids}`, data: { text } });
}

async function picture(name: string, width: number, height: number, colorScheme: 'light' | 'dark'): Promise<void> {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, locale: 'en-GB' });
  const marks = { harbour: { epoch: '', offset: -1, ts: 0 }, '@jonas': { epoch: '', offset: -1, ts: 0 } };
  const remembered = { rooms: ['boat-shed', 'harbour', 'regatta/2027', 'weather'], partners: ['jonas', 'mira'], marks };
  await context.addInitScript(`localStorage['tidegate.user.ann'] ??= ${JSON.stringify(JSON.stringify(remembered))}`);
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${gateway.ports.http}/?room=harbour&user=ann`);
  await page.getByText('Connected as ann').waitFor({ state: 'attached' });
  await page.getByText('Perfect. Thank you').waitFor();
  await (await clientOf('otto')).ok({ op: 'signal', room: 'harbour', data: { typing: true } });
  await page.getByText('otto is typing…').waitFor();
  await page.screenshot({ ...QUALITY, path: new URL(`${name}.png`, FOLDER).pathname });
  await context.close();
}

try {
  await mkdir(FOLDER, { recursive: true });
  for (const user of ['mira', 'jonas', 'layla', 'otto', 'tove']) {
    await (await clientOf(user)).ok({ op: 'join', room: 'harbour' });
  }
  await (await clientOf('jonas')).ok({ op: 'status', status: 'away', text: 'on the water until four' });
  await (await clientOf('tove')).ok({ op: 'status', status: 'dnd', text: 'sanding' });
  for (const [user, text] of TALK) await say(user, 'harbour', text);
  (await clientOf('ann')).send({ op: 'quit', id: 1 });
  for (const text of ['Wind 4 from the south-west', 'Rain after ten', 'Clear again by noon']) {
    await say('barometer', 'weather', text);
  }
  await say('tove', 'boat-shed', 'Who has the key?');
  await say('jonas', '@user/ann', 'Do you have a spare lamp?');
  await say('mira', '@user/ann', 'Lunch afterwards?');
  await picture('chat-light', 1280, 800, 'light');
  await picture('chat-dark', 1280, 800, 'dark');
  await picture('chat-phone', 390, 780, 'light');
} finally {
  for (const client of clients.values()) client.close();
  await browser.close();
  await gateway.stop();
  await directory.remove();
}
