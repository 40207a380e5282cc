import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { ClusterError } from './cluster-error.ts';

export const CALLS = ['roll', 'status', 'down'] as const;
export type Call = (typeof CALLS)[number];

/** Does what was asked, tells how it goes, and resolves with an exit code. */
export type Answer = (call: Call, say: (line: string) => void) => Promise<number>;

/** What goes over the socket, a JSON object a line: first what is asked, then any number of words, and the exit code. */
interface Said {
  readonly call?: Call;
  readonly say?: string;
  readonly exit?: number;
}

/** Characters of what one may ask. */
const CALL_CHARS_MAX = 100;

/** The running cluster's ear: a socket in its directory. Who has it is the one that runs. */
export class Control {
  readonly #server: Server;
  readonly #answering = new Set<Promise<void>>();

  private constructor(server: Server, answer: Answer) {
    this.#server = server;
    server.on('connection', (socket) => {
      // Who has asked may go; what was asked goes on.
      socket.on('error', () => {});
      const answering = serve(socket, answer).finally(() => this.#answering.delete(answering));
      this.#answering.add(answering);
    });
  }

  /** @throws ClusterError if one runs in this directory already */
  static async open(path: string, answer: Answer): Promise<Control> {
    if ((await reach(path)) !== null) throw new ClusterError('a cluster runs here already; npm run cluster -- status');
    rmSync(path, { force: true });
    const server = createServer().listen(path);
    await once(server, 'listening');
    return new Control(server, answer);
  }

  /** Resolves when all that was asked is answered. */
  async close(): Promise<void> {
    this.#server.close();
    await Promise.all(this.#answering);
  }
}

/** Asks the cluster that runs. Resolves with the exit code; null: none runs. */
export async function ask(path: string, call: Call, print: (line: string) => void): Promise<number | null> {
  const socket = await reach(path);
  if (socket === null) return null;
  socket.write(`${JSON.stringify({ call })}\n`);
  for await (const line of createInterface({ input: socket })) {
    const { say, exit } = JSON.parse(line) as Said;
    if (say !== undefined) print(say);
    if (exit !== undefined) return exit;
  }
  throw new ClusterError('the cluster has gone before it was done');
}

async function reach(path: string): Promise<Socket | null> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return socket;
  } catch {
    socket.destroy();
    return null;
  }
}

async function serve(socket: Socket, answer: Answer): Promise<void> {
  const tell = (said: Said) => socket.write(`${JSON.stringify(said)}\n`);
  try {
    const { call } = JSON.parse(await firstLine(socket)) as Said;
    if (call === undefined || !CALLS.includes(call)) throw new ClusterError('that is nothing to ask for');
    tell({ exit: await answer(call, (say) => tell({ say })) });
  } catch (error) {
    tell({ say: (error as Error).message });
    tell({ exit: 1 });
  }
  socket.end();
}

async function firstLine(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (text.includes('\n') || text.length > CALL_CHARS_MAX) break;
  }
  return text;
}
