import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { UWS_PINS } from './uws-pins.ts';

/** A WebSocket of uWebSockets.js. Nothing of it may be called once its `close` handler has been. */
export interface UwsSocket {
  /** Sends one message. @returns what came of it, see {@link SENT} */
  send(message: Buffer, isBinary: boolean, compress: boolean): number;
  /** Bytes that the kernel has not taken. */
  getBufferedAmount(): number;
  /** Sends a close frame, then ends. Calls the `close` handler before it returns. */
  end(code: number, reason: string): void;
  /** Closes without a word. Calls the `close` handler before it returns. */
  close(): void;
}

/**
 * What {@link UwsSocket.send} returns: the kernel has it all; it has not, and what is left waits; or the message was
 * left out, because more waited than `maxBackpressure` allows.
 */
export const SENT = { backpressure: 0, success: 1, dropped: 2 } as const;

export interface UwsRequest {
  /** `''` where it is absent. */
  getHeader(lowerCaseName: string): string;
  /** Each line in order, names in lower case. */
  forEach(onLine: (lowerCaseName: string, value: string) => void): void;
  /** In lower case. */
  getMethod(): string;
  /** The path. */
  getUrl(): string;
}

/** Valid until it was ended, upgraded or closed. */
export interface UwsResponse {
  writeStatus(status: string): UwsResponse;
  writeHeader(name: string, value: string): UwsResponse;
  end(body?: Buffer | string, closeConnection?: boolean): UwsResponse;
  endWithoutBody(): UwsResponse;
  close(): UwsResponse;
  getRemoteAddressAsText(): ArrayBuffer;
  upgrade<Data extends object>(data: Data, key: string, protocol: string, extensions: string, context: unknown): void;
}

/** `Data`'s properties are the socket's own. */
export interface UwsBehavior<Data extends object> {
  readonly compression: number;
  readonly maxPayloadLength: number;
  readonly maxBackpressure: number;
  readonly idleTimeout: number;
  readonly sendPingsAutomatically: boolean;
  upgrade(response: UwsResponse, request: UwsRequest, context: unknown): void;
  open(socket: UwsSocket & Data): void;
  /** The message is gone once this returns. */
  message(socket: UwsSocket & Data, message: ArrayBuffer, isBinary: boolean): void;
  ping(socket: UwsSocket & Data): void;
  pong(socket: UwsSocket & Data): void;
  drain(socket: UwsSocket & Data): void;
  close(socket: UwsSocket & Data, code: number): void;
}

export interface UwsApp {
  any(pattern: string, handler: (response: UwsResponse, request: UwsRequest) => void): UwsApp;
  ws<Data extends object>(pattern: string, behavior: UwsBehavior<Data>): UwsApp;
  /** `count` is 1 for a connection that came, −1 for one that went before it was upgraded. */
  filter(handler: (response: UwsResponse, count: number) => void): UwsApp;
  /** `onListening` gets what {@link UwsLibrary.us_listen_socket_close} wants, or false. */
  listen(host: string, port: number, onListening: (token: object | false) => void): UwsApp;
  /** Names an app, for another one to hand connections to. */
  getDescriptor(): object;
  /** From now on connections that this app accepts are another one's, in turn if there are several. */
  addChildAppDescriptor(descriptor: object): void;
  removeChildAppDescriptor(descriptor: object): void;
}

/** What we use of uWebSockets.js. */
export interface UwsLibrary {
  App(): UwsApp;
  /** @throws Error if the two files can't be read or don't fit together. */
  SSLApp(options: { readonly key_file_name: string; readonly cert_file_name: string }): UwsApp;
  us_listen_socket_close(token: object): void;
  us_socket_local_port(token: object): number;
  readonly DISABLED: number;
}

/** The library and in words which build it is, or why it does not serve. */
export type UwsLoaded =
  | { readonly library: UwsLibrary; readonly what: string }
  | { readonly library: null; readonly why: string };

/** Bytes of a request's head, as with Node's own server; the library's default of 4 KiB is soon used up by cookies. */
const HEAD_BYTES_MAX = 16_384;

/**
 * Loads uWebSockets.js where it is installed: the official build, or the repack of it that the registry has. Of the
 * latter only a binary that is pinned is run, and none of its JavaScript.
 *
 * @param resolve finds the package's main file, as a URL
 */
export function loadUws(resolve: () => string = () => import.meta.resolve('uWebSockets.js')): UwsLoaded {
  // Read by the library once, when it is loaded.
  process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= String(HEAD_BYTES_MAX);
  try {
    const main = resolve();
    const manifestUrl = manifestOf(main);
    const manifest = JSON.parse(readFileSync(manifestUrl, 'utf8')) as { name: string; version: string };
    return manifest.name === 'uws-pack'
      ? loadRepack(manifestUrl, manifest.version)
      : loadOfficial(main, manifest.version);
  } catch (error) {
    return { library: null, why: firstLine((error as Error).message) };
  }
}

/** The repack's binaries lie where its own loader looks for them. */
function loadRepack(manifest: URL, version: string): UwsLoaded {
  const name = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
  const file = new URL(`./dist/bin/${name}`, manifest);
  if (!existsSync(file)) return { library: null, why: `uws-pack ${version} has no ${name}` };
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
  if (UWS_PINS[name] !== sha256) {
    return {
      library: null,
      why: `${name} of uws-pack ${version} is not the one that is pinned: its SHA-256 is ${sha256}`,
    };
  }
  const library = createRequire(import.meta.url)(fileURLToPath(file)) as UwsLibrary;
  return {
    library,
    what: `uWebSockets.js, repacked as uws-pack ${version}, SHA-256 ${sha256.slice(0, 16)}… as pinned`,
  };
}

/** Installed by the operator from its authors' own repository: theirs to trust. */
function loadOfficial(main: string, version: string): UwsLoaded {
  const library = createRequire(import.meta.url)(fileURLToPath(main)) as UwsLibrary;
  return { library, what: `uWebSockets.js ${version}, as installed` };
}

function manifestOf(main: string): URL {
  for (let folder = new URL('./', main); folder.pathname !== '/'; folder = new URL('../', folder)) {
    const manifest = new URL('./package.json', folder);
    if (existsSync(manifest)) return manifest;
  }
  throw new Error(`${main} belongs to no package`);
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
