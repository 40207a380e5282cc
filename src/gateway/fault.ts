import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { CommandError } from '../protocol/errors.ts';

/**
 * What a command that failed is answered with. Whatever is no `CommandError` is our fault: it is logged under a
 * trace id, with `where` it happened, and the id is all that the client is told.
 */
export function commandErrorOf(error: unknown, logger: Logger, where: Readonly<Record<string, string>>): CommandError {
  if (error instanceof CommandError) return error;
  const traceId = randomBytes(8).toString('hex');
  logger.error({ err: error, traceId, ...where }, 'a command failed by our fault');
  return new CommandError('internal', `our fault; trace ${traceId}`);
}
