import type { Readable } from 'node:stream';
import type { Client } from '../client/client.ts';
import type { ChatOptions } from './command-line.ts';
import { ConnectionWatch } from './connection-watch.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Follower } from './follower.ts';
import { LinePublisher } from './line-publisher.ts';
import type { PipeView } from './pipe-view.ts';
import type { Stop } from './stop.ts';
import { counted } from './words.ts';

export interface Piped {
  readonly client: Client;
  readonly options: ChatOptions;
  readonly input: Readable;
  readonly view: PipeView;
  readonly stopped: Promise<Stop>;
}

/** Chats for a program: publishes its lines, and shows it what is said. Resolves when that is over. */
export async function chatInPipe({ client, options, input, view, stopped }: Piped): Promise<ExitCode> {
  const watch = new ConnectionWatch(client, view, options.waitMs);
  const work = new PipedWork(client, options, input, view);
  const end = await Promise.race([
    work.run().then((failure) => ({ cause: 'work' as const, failure })),
    watch.lost.then((why) => ({ cause: 'lost' as const, why })),
    stopped,
  ]);
  watch.close();
  const tellLeft = () => {
    if (work.unacknowledged > 0) view.error(`${counted(work.unacknowledged, 'line')} not acknowledged`);
  };
  switch (end.cause) {
    case 'work':
      if (end.failure === null) return EXIT.ok;
      // Whatever fails where there is no session any more has failed for that.
      view.error(client.state.name === 'closed' ? await watch.lost : end.failure);
      return client.state.name === 'closed' ? EXIT.unreachable : EXIT.failed;
    case 'lost':
      view.error(end.why);
      tellLeft();
      return EXIT.unreachable;
    case 'output':
      if (end.error.code === 'EPIPE') return EXIT.ok;
      view.error(`cannot write the output: ${end.error.message}`);
      return EXIT.failed;
    case 'signal':
      if (options.once) view.error('interrupted before the end of the input');
      tellLeft();
      return options.once || work.unacknowledged > 0 ? EXIT.failed : EXIT.ok;
  }
}

/** What is to be done in a pipe, from the first session to the end of input and rooms. */
class PipedWork {
  readonly #client: Client;
  readonly #options: ChatOptions;
  readonly #input: Readable;
  readonly #follower: Follower | null;
  #publisher: LinePublisher | null = null;

  constructor(client: Client, options: ChatOptions, input: Readable, view: PipeView) {
    this.#client = client;
    this.#options = options;
    this.#input = input;
    this.#follower = options.once ? null : new Follower(client, options.rooms, view);
  }

  /** Lines that were published, and are neither acknowledged nor refused. */
  get unacknowledged(): number {
    return this.#publisher?.unacknowledged ?? 0;
  }

  /** Resolves with null when all is done, or with the words of what failed first. */
  async run(): Promise<string | null> {
    try {
      const { limits } = await this.#client.connect();
      // A reader sees its own lines, too, and from the first one on.
      await this.#follower?.join(this.#options.history);
      const room = this.#client.room(this.#options.rooms.at(-1) ?? '');
      this.#publisher = new LinePublisher({
        publish: (data) => room.publish(data),
        isJson: this.#options.json,
        dataBytesMax: limits.dataBytesMax,
        waitingMax: limits.publishesUnansweredMax,
      });
      const published = this.#publisher.run(this.#input);
      const follower = this.#follower;
      if (follower === null) return await published;
      return await Promise.race([published.then((failure) => failure ?? follower.over), follower.over]);
    } catch (error) {
      return (error as Error).message;
    }
  }
}
