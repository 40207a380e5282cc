import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../client/client.ts';
import type { ChatOptions } from './command-line.ts';
import { ConnectionWatch } from './connection-watch.ts';
import { Conversation } from './conversation.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Screen, type ScreenSettings } from './screen.ts';
import type { Stop } from './stop.ts';
import { counted } from './words.ts';

/** For which somebody who leaves waits for the acknowledgements of what they said. */
const SETTLE_MS = 10_000;

export interface AtTerminal extends Pick<ScreenSettings, 'input' | 'output' | 'canEdit'> {
  readonly client: Client;
  readonly options: ChatOptions;
  readonly stopped: Promise<Stop>;
}

/** Chats with a person. Resolves when they leave, or have to. */
export async function chatAtTerminal({ client, options, stopped, ...terminal }: AtTerminal): Promise<ExitCode> {
  const asked = Promise.withResolvers<{ readonly cause: 'left' | 'signal' }>();
  const leave = () => asked.resolve({ cause: 'left' });
  const screen = new Screen({
    ...terminal,
    keyboard: {
      onLine: (line) => conversation.type(line),
      onEnd: leave,
      onInterrupt: () => asked.resolve({ cause: 'signal' }),
    },
  });
  const conversation = new Conversation({ client, view: screen, history: options.history, onQuit: leave });
  const watch = new ConnectionWatch(client, screen, options.waitMs);
  screen.note('# /help lists what there is');
  // Why it fails is told by the watch.
  conversation.begin(options.rooms).catch(() => {});
  const lost = watch.lost.then((why) => ({ cause: 'lost' as const, why }));
  let end = await Promise.race([asked.promise, lost, stopped]);
  screen.close();
  let failed = 0;
  if (end.cause === 'left' && conversation.unacknowledged > 0) {
    screen.note(
      `# waiting for ${counted(conversation.unacknowledged, 'message')} to be acknowledged; Ctrl-C leaves at once`,
    );
    const settled = conversation.settled().then((count) => {
      failed = count;
      return { cause: 'left' as const };
    });
    const enough = delay(SETTLE_MS, { cause: 'left' as const });
    end = await Promise.race([settled, enough, lost, stopped]);
  }
  watch.close();
  if (end.cause === 'lost') screen.error(end.why);
  const left = conversation.unacknowledged;
  if (left > 0) screen.error(`${counted(left, 'message')} not acknowledged`);
  screen.flush();
  if (end.cause === 'lost') return EXIT.unreachable;
  return left + failed > 0 ? EXIT.failed : EXIT.ok;
}
