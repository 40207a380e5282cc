import type { Writable } from 'node:stream';

/** Below so many bytes copying the chunks together is cheaper than handing each to the system by itself. */
const COPIED_BYTES_MAX = 8_192;

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
    socket.write(Buffer.concat(chunks, bytes), onTaken);
    return;
  }
  socket.cork();
  for (const [i, chunk] of chunks.entries()) socket.write(chunk, i === chunks.length - 1 ? onTaken : nothing);
  socket.uncork();
}

function nothing(): void {}
