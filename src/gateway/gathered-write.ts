import type { Writable } from 'node:stream';

/** Below so many bytes copying the chunks together is cheaper than handing each to the system by itself. */
const COPIED_BYTES_MAX = 8_192;
/** Few, since a peer that doesn't read keeps all of it while it keeps a part. */
const SCRATCH_BYTES = 2 * COPIED_BYTES_MAX;

/** Where chunks are copied together; `scratchAt` is where it is free, and stays where the kernel took it all at once. */
let scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
let scratchAt = 0;

/**
 * Writes buffers in order with one system call, as far as the socket takes them at once; `onTaken` is called when
 * it has taken them all. A socket tells of its own accord (`drain`) only where more waited than its high-water mark.
 */
export function writeGathered(socket: Writable, chunks: readonly Buffer[], onTaken: () => void = nothing): void {
  const [first] = chunks;
  if (chunks.length === 1 && first !== undefined) {
    socket.write(first, onTaken);
    return;
  }
  let bytes = 0;
  for (const chunk of chunks) bytes += chunk.length;
  if (bytes <= COPIED_BYTES_MAX) {
    writeCopied(socket, chunks, bytes, onTaken);
    return;
  }
  socket.cork();
  for (const [i, chunk] of chunks.entries()) socket.write(chunk, i === chunks.length - 1 ? onTaken : nothing);
  socket.uncork();
}

function writeCopied(socket: Writable, chunks: readonly Buffer[], bytes: number, onTaken: () => void): void {
  if (scratchAt + bytes > SCRATCH_BYTES) {
    scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    scratchAt = 0;
  }
  let at = scratchAt;
  for (const chunk of chunks) {
    scratch.set(chunk, at);
    at += chunk.length;
  }
  socket.write(scratch.subarray(scratchAt, at), onTaken);
  // What the socket holds on to is its own from now on.
  if (socket.writableLength > 0) scratchAt = at;
}

function nothing(): void {}
