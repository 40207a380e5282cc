import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { TraceIds } from '../observability/tracing.ts';
import { CommandError } from '../protocol/errors.ts';

/**
 * What a command that failed is answered with. Whatever is no `CommandError` is our fault: it is logged under a
 * trace id, which is that of its trace where it has one, with `where` it happened, and the id is all that the client is
 * told.
 */
export function commandErrorOf(
  error: unknown,
  logger: Logger,
  where: Readonly<Record<string, string>>,
  trace?: TraceIds,
): CommandError {
  if (error instanceof CommandError) return error;
  const ids = trace ?? { trace_id: randomBytes(16).toString('hex') };
  logger.error({ err: error, ...ids, ...where }, 'a command failed by our fault');
  return new CommandError('internal', `our fault; trace ${ids.trace_id}`);
}
