import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { BuiltImage } from './built-image.ts';
import type { Findings } from './findings.ts';
import { ROOT } from './programs.ts';

/** Bytes of all files of an image. */
const SIZE_BYTES_MAX = 200_000_000;
/** Milliseconds for it to start, be looked at and end. */
const RUN_MS_MAX = 60_000;
const ANY_PORTS = { TIDEGATE_HTTP_PORT: '0', TIDEGATE_TCP_PORT: '0', TIDEGATE_INTERNAL_PORT: '0' };

/** Builds the image as its Dockerfile says, and runs what came of it. @returns what there is to tell of it */
export async function checkImage(findings: Findings): Promise<string> {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    devDependencies: { node: string };
  };
  const base = `node:${manifest.devDependencies.node}-bookworm-slim`;
  const [, from] = /^FROM (\S+) AS build$/m.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')) ?? [];
  findings.expect(from === base, `it is built on ${from}, and the tests run on ${base}`);
  const image = await BuiltImage.build(from ?? base);
  try {
    const bytes = sizeOf(image.root);
    findings.expect(bytes <= SIZE_BYTES_MAX, `it has ${bytes} bytes, more than ${SIZE_BYTES_MAX}`);
    checkConfig(image, findings);
    await checkEngine(image, findings);
    await checkProcess(image, findings);
    return `${(bytes / 1_000_000).toFixed(0)} MB uncompressed`;
  } finally {
    await image.remove();
  }
}

function checkConfig({ config, root }: BuiltImage, findings: Findings): void {
  const [uid = 0, gid = 0] = config.User.split(':').map(Number);
  findings.expect(uid > 0 && gid > 0, `its user is ${config.User}`);
  const data = lstatSync(join(root, 'data'));
  findings.expect('/data' in config.Volumes && data.uid === uid && data.gid === gid, '/data is no volume of its user');
  const ports = Object.keys(config.ExposedPorts).sort().join();
  findings.expect(ports === '7000/tcp,8080/tcp,9100/tcp', `it exposes ${ports}`);
}

/** The faster library has to serve in it. */
async function checkEngine(image: BuiltImage, findings: Findings): Promise<void> {
  const said = await text(image.start([...image.config.Entrypoint, 'check'], {}).stdout);
  findings.expect(/^websocket +uWebSockets\.js/m.test(said), `in it tidegate check says: ${said}`);
}

/** It starts, is healthy, serves, and ends at SIGTERM by itself. */
async function checkProcess(image: BuiltImage, findings: Findings): Promise<void> {
  const gateway = image.start(image.config.Entrypoint, ANY_PORTS);
  const ended = once(gateway, 'exit');
  const errors = text(gateway.stderr);
  const timeout = setTimeout(() => signalFirst(gateway, 'SIGKILL'), RUN_MS_MAX);
  try {
    const ready = await untilReady(gateway.stdout);
    if (ready === null) throw new Error(`it did not start: ${await errors}`);
    findings.expect(ready.pid === 1, `it is process ${ready.pid} in its container, and not the one that gets signals`);
    const page = await fetch(`http://127.0.0.1:${ready.http}/`);
    findings.expect(page.status === 200, `its page is answered with ${page.status}`);
    findings.expect((await healthOf(image, ready.internal)) === 0, 'its health check fails while it is well');

    signalFirst(gateway, 'SIGTERM');
    gateway.stdout.resume();
    const [code, signal] = (await ended) as [number | null, string | null];
    findings.expect(code === 0, `at SIGTERM it ended with ${code ?? signal}: ${await errors}`);
    findings.expect((await healthOf(image, ready.internal)) === 1, 'its health check passes where nothing is');
  } finally {
    clearTimeout(timeout);
    signalFirst(gateway, 'SIGKILL');
  }
}

interface ReadyLine {
  readonly msg: string;
  readonly pid: number;
  readonly http: number;
  readonly internal: number;
}

/** The line that says so; null: the process has ended before. */
async function untilReady(stdout: Readable): Promise<ReadyLine | null> {
  for await (const line of createInterface(stdout)) {
    const entry = JSON.parse(line) as ReadyLine;
    if (entry.msg === 'ready') return entry;
  }
  return null;
}

/**
 * Signals process 1 of what runs in the image, which unshare waits for; nobody if it has ended. Where that goes, all that
 * it has started go.
 */
function signalFirst({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  const file = `/proc/${pid}/task/${pid}/children`;
  const first = existsSync(file) ? Number(readFileSync(file, 'utf8').split(' ')[0]) : 0;
  // To the system 0 is not nobody, but everybody here.
  if (first > 0) process.kill(first, signal);
}

/** What the image's own health check exits with. */
async function healthOf(image: BuiltImage, port: number): Promise<number | null> {
  const [kind, ...command] = image.config.Healthcheck?.Test ?? [];
  if (kind !== 'CMD') throw new Error('the image has no health check without a shell');
  const check = image.start(command, { TIDEGATE_INTERNAL_PORT: String(port) });
  const [code] = (await once(check, 'exit')) as [number | null];
  return code;
}

function sizeOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .reduce((sum, { parentPath, name }) => sum + lstatSync(join(parentPath, name)).size, 0);
}
