import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { WireName } from './load-plan.ts';

/** A server that takes part. */
export interface Contender {
  readonly name: string;
  readonly what: string;
  /** How its clients speak. */
  readonly wire: WireName;
  /** What node runs; it prints a line of JSON with `"msg":"ready"`, `pid` and its ports once it serves. */
  readonly script: string;
  /** Which of the ready line's ports its clients use. */
  readonly port: 'http' | 'tcp';
  readonly env: Readonly<Record<string, string>>;
  readonly isTidegate: boolean;
  /** Whether the server is a node process, whose garbage can be collected before its memory is read. */
  readonly isNode: boolean;
}

const TIDEGATE = { script: '../dist/main.js', isTidegate: true, isNode: true } as const;
const OTHER = { port: 'http', env: {}, isTidegate: false, isNode: true } as const;
/** The program that must be on the PATH for Centrifugo to take part. */
export const CENTRIFUGO = 'centrifugo';

const CENTRIFUGO_CONTENDER: Contender = {
  ...OTHER,
  name: 'centrifugo',
  what: 'Centrifugo, JSON over WebSocket, memory engine',
  wire: 'centrifugo',
  script: './servers/centrifugo.ts',
  isNode: false,
};

export const CONTENDERS: readonly Contender[] = [
  {
    ...TIDEGATE,
    name: 'tidegate-uws',
    what: 'tidegate, WebSocket on uWebSockets.js',
    wire: 'tidegate-ws',
    port: 'http',
    env: { TIDEGATE_WS_ENGINE: 'uws' },
  },
  {
    ...TIDEGATE,
    name: 'tidegate-ws',
    what: 'tidegate, WebSocket on ws',
    wire: 'tidegate-ws',
    port: 'http',
    env: { TIDEGATE_WS_ENGINE: 'ws' },
  },
  {
    ...TIDEGATE,
    name: 'tidegate-tcp',
    what: 'tidegate, NDJSON on TCP',
    wire: 'tidegate-tcp',
    port: 'tcp',
    env: { TIDEGATE_WS_ENGINE: 'ws' },
  },
  {
    ...OTHER,
    name: 'socket.io',
    what: 'Socket.IO on ws, WebSocket alone, io.to(room).emit',
    wire: 'socket.io',
    script: './servers/socket-io.ts',
  },
  { ...OTHER, name: 'ws', what: 'bare ws, send to each', wire: 'bare', script: './servers/bare-ws.ts' },
  {
    ...OTHER,
    name: 'uws',
    what: 'bare uWebSockets.js, publish to a topic',
    wire: 'bare',
    script: './servers/bare-uws.ts',
  },
  ...(isOnPath(CENTRIFUGO) ? [CENTRIFUGO_CONTENDER] : []),
];

function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
