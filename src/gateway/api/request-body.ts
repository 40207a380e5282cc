import type { IncomingMessage } from 'node:http';
import { BOUNDS } from '../../protocol/bounds.ts';
import { CommandError } from '../../protocol/errors.ts';

/** Milliseconds for a body to come. */
const BODY_TIMEOUT_MS = 10_000;
/** Milliseconds for which more is read of a body that was refused, so that its sender comes to read the answer. */
const DISCARD_MS = 1_000;

/**
 * What the body says of its type is not looked at: it is JSON, or refused as none.
 *
 * @throws CommandError `bad_request` if it is too long, too slow, or breaks off
 */
export function readRequestBody(request: IncomingMessage): Promise<Buffer> {
  const { headers } = request;
  return new Promise((resolve, reject) => {
    const refuse = (message: string) => {
      stop();
      reject(new CommandError('bad_request', message));
    };
    const tooLong = () => refuse(`the body is longer than ${BOUNDS.bodyBytesMax} bytes`);
    const chunks: Buffer[] = [];
    let bytes = 0;
    const onData = (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > BOUNDS.bodyBytesMax) tooLong();
    };
    const onEnd = () => {
      stop();
      resolve(Buffer.concat(chunks));
    };
    const onClose = () => refuse('the body broke off');
    const timer = setTimeout(() => refuse(`the body did not come within ${BODY_TIMEOUT_MS} ms`), BODY_TIMEOUT_MS);
    const stop = () => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose);
    };
    request.on('data', onData).on('end', onEnd).on('close', onClose);
    if (Number(headers['content-length']) > BOUNDS.bodyBytesMax) tooLong();
  });
}

/** Reads and forgets the rest of a body, for a while. */
export async function discardRest(request: IncomingMessage): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, DISCARD_MS);
    const stop = () => {
      clearTimeout(timer);
      resolve();
    };
    request.once('end', stop).once('close', stop).resume();
  });
}
