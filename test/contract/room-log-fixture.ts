import { partitionOf } from '../../src/fanout/partition.ts';
import type { AppendRequest, Page } from '../../src/fanout/room-log.ts';
import type { Position } from '../../src/protocol/position.ts';
import type { Publication } from '../../src/protocol/publication.ts';

export const PARTITIONS = 4;

/** Bounds of a read that don't bind. */
export const ALL = { through: Number.MAX_SAFE_INTEGER, limit: 300, bytesMax: 1_048_576 };

export function publish(room: string, mid: string, data = '{"text":"hello"}'): AppendRequest {
  return { room, from: 'user', mid, data };
}

/** A room that shares its partition with another. */
export function roomBeside(room: string): string {
  for (let number = 0; ; number++) {
    const name = `beside/${number}`;
    if (partitionOf(name, PARTITIONS) === partitionOf(room, PARTITIONS)) return name;
  }
}

export function positionOf({ epoch, offset }: Publication): Position {
  return { epoch, offset };
}

export function midOf({ value }: Publication): string {
  return (JSON.parse(value.toString()) as { mid: string }).mid;
}

export function midsOf(page: Page): string[] {
  return page.publications.map(midOf);
}

/** The code with which a promise was rejected. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  );
}
