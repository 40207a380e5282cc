import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** How many of so many pieces of one byte are still held by whoever they were fed to, after a garbage collection. */
export async function heldPieces(count: number, feed: (piece: Buffer) => void): Promise<number> {
  const pieces: WeakRef<Buffer>[] = [];
  for (let i = 0; i < count; i += 1) {
    const piece = Buffer.alloc(1, 'a');
    pieces.push(new WeakRef(piece));
    feed(piece);
  }
  // What a WeakRef was made of lives until the end of the turn.
  await setImmediate();
  collectGarbage();
  return pieces.filter((piece) => piece.deref() !== undefined).length;
}
