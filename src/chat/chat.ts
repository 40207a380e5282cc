import { Client } from '../client/client.ts';
import { VERSION } from '../version.ts';
import { type ChatOptions, HELP, readCommandLine, UsageError } from './command-line.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { chatInPipe } from './pipe.ts';
import { PipeView } from './pipe-view.ts';
import { firstStop } from './stop.ts';
import { chatAtTerminal } from './terminal.ts';

/** Runs `tidegate chat` with what stands behind it, and resolves with the code to exit with. */
export async function chat(args: readonly string[]): Promise<ExitCode> {
  const { stdin, stdout, stderr, env } = process;
  let options: ChatOptions | null;
  try {
    options = readCommandLine(args, env, stdin.isTTY && stdout.isTTY);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    stderr.write(`tidegate chat: ${error.message}; tidegate chat --help says what there is\n`);
    return EXIT.usage;
  }
  if (options === null) {
    stdout.write(HELP);
    return EXIT.ok;
  }
  const client = clientOf(options);
  const stopped = firstStop(process);
  const code = options.isInteractive
    ? await chatAtTerminal({ client, options, stopped, input: stdin, output: stdout, canEdit: env.TERM !== 'dumb' })
    : await chatInPipe({ client, options, stopped, input: stdin, view: new PipeView(stdout, stderr, options.json) });
  await client.close();
  for (const stream of [stdout, stderr]) await new Promise<void>((resolve) => stream.write('', () => resolve()));
  return code;
}

function clientOf({ url, user, device, token }: ChatOptions): Client {
  return new Client({
    url,
    client: `tidegate-chat/${VERSION}`,
    ...(user !== null && { user }),
    ...(device !== null && { device }),
    ...(token !== null && { token }),
  });
}
