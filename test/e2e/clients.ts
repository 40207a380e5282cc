import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { type ClientOptions, WebSocket } from 'ws';

/** Anything that the server says: a reply or a push. */
export interface Said {
  readonly [key: string]: unknown;
}

export interface Message {
  readonly room: string;
  readonly epoch: string;
  readonly offset: number;
  readonly from: string;
  readonly mid: string;
  readonly ts: number;
  readonly data: unknown;
}

export interface Closed {
  /** WebSocket only. */
  readonly code: number | null;
  readonly reason: string;
}

/** Milliseconds that a test waits for one thing. */
const PATIENCE_MS = 10_000;

/** A client for tests, over whatever bytes: it says lines and remembers everything it hears, in order. */
export abstract class Client {
  readonly heard: Said[] = [];
  /** Lines that are no JSON object: text mode, greetings. */
  readonly words: string[] = [];
  closed: Closed | null = null;
  #nextId = 1_000;
  #waiting: (() => void)[] = [];

  abstract sendRaw(text: string | Buffer): void;
  abstract close(): void;
  /** Stops or goes on reading from the socket. */
  abstract pause(): void;
  abstract resume(): void;

  send(command: object): void {
    this.sendRaw(`${JSON.stringify(command)}\n`);
  }

  /** Sends a command with a fresh id and resolves with its whole reply. */
  async ask(command: object): Promise<Said> {
    this.#nextId += 1;
    const id = this.#nextId;
    this.send({ id, ...command });
    return this.until(`a reply to ${JSON.stringify(command)}`, () => this.heard.find((said) => said.id === id));
  }

  /** {@link ask} for the `ok` of the reply. @throws on an error reply. */
  async ok(command: object): Promise<Record<string, unknown>> {
    const reply = await this.ask(command);
    if (reply.ok === undefined) throw new Error(`${JSON.stringify(command)} was answered ${JSON.stringify(reply)}`);
    return reply.ok as Record<string, unknown>;
  }

  /** {@link ask} for the code of the error. @throws on an `ok` reply. */
  async errorCode(command: object): Promise<string> {
    const reply = await this.ask(command);
    if (reply.error === undefined) throw new Error(`${JSON.stringify(command)} was answered ${JSON.stringify(reply)}`);
    return (reply.error as { code: string }).code;
  }

  async connect(user: string, more: object = {}): Promise<Record<string, unknown>> {
    return this.ok({ op: 'connect', user, ...more });
  }

  /** Every `message` push heard so far, of one room if named. */
  messages(room?: string): Message[] {
    return this.heard.filter(
      (said) => said.push === 'message' && (room === undefined || said.room === room),
    ) as unknown as Message[];
  }

  /** Resolves when `find` finds something in what was heard. @throws when patience ends. */
  async until<T>(what: string, find: () => T | undefined | null | false): Promise<T> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = find();
      if (found !== undefined && found !== null && found !== false) return found;
      const left = deadline - performance.now();
      if (left <= 0) {
        const heard = [...this.heard, ...this.words].slice(-5).map((said) => JSON.stringify(said).slice(0, 300));
        const end = JSON.stringify(this.closed);
        throw new Error(`waited in vain for ${what}; closed: ${end}; heard ${this.heard.length}: ${heard.join('\n')}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  async push(what: string, matches: (said: Said) => boolean): Promise<Said> {
    return this.until(what, () => this.heard.find((said) => said.push !== undefined && matches(said)));
  }

  async untilClosed(): Promise<Closed> {
    return this.until('the close', () => this.closed);
  }

  /** The `disconnect` push, after which the connection has closed. */
  async disconnected(): Promise<Said> {
    const said = await this.push('a disconnect', ({ push }) => push === 'disconnect');
    await this.untilClosed();
    return said;
  }

  protected hear(line: string): void {
    if (line.startsWith('{')) this.heard.push(JSON.parse(line) as Said);
    else if (line !== '') this.words.push(line);
    this.wake();
  }

  protected wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

export class TcpClient extends Client {
  readonly socket: Socket;
  #rest = '';

  constructor(socket: Socket) {
    super();
    this.socket = socket;
    const decoder = new TextDecoder();
    socket.on('data', (chunk: Buffer) => {
      this.#rest += decoder.decode(chunk, { stream: true });
      const lines = this.#rest.split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.hear(line);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = { code: null, reason: '' };
      this.wake();
    });
  }

  static async open(port: number, host = '127.0.0.1', localAddress?: string): Promise<TcpClient> {
    const socket = connectTcp({ port, host, allowHalfOpen: false, ...(localAddress && { localAddress }) });
    await once(socket, 'connect');
    return new TcpClient(socket);
  }

  static async openTls(options: ConnectionOptions): Promise<TcpClient> {
    const socket = connectTls(options);
    await once(socket, 'secureConnect');
    return new TcpClient(socket);
  }

  override sendRaw(text: string | Buffer): void {
    this.socket.write(text);
  }

  override close(): void {
    this.socket.destroy();
  }

  override pause(): void {
    this.socket.pause();
  }

  override resume(): void {
    this.socket.resume();
  }
}

export class WsClient extends Client {
  readonly ws: WebSocket;

  constructor(ws: WebSocket) {
    super();
    this.ws = ws;
    ws.on('message', (data: Buffer) => {
      for (const line of data.toString().split('\n')) this.hear(line);
    });
    ws.on('error', () => {});
    ws.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      this.wake();
    });
  }

  static async open(port: number, options: ClientOptions = {}, url = `ws://127.0.0.1:${port}/ws`): Promise<WsClient> {
    const client = new WsClient(new WebSocket(url, 'tidegate.v1', options));
    await once(client.ws, 'open');
    return client;
  }

  override sendRaw(text: string | Buffer): void {
    this.ws.send(text.toString().replace(/\n$/, ''));
  }

  override close(): void {
    this.ws.close();
  }

  override pause(): void {
    this.ws.pause();
  }

  override resume(): void {
    this.ws.resume();
  }
}
