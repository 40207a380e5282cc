import { type DestinationStream, type Logger, pino } from 'pino';
import { LineBudget } from './line-budget.ts';

/** Fields that are never shown, however deep they stand, whoever logs them: secrets, and what users say. */
const HIDDEN =
  /(token|secret|password|passphrase|credential|authorization|cookie|jwt|jwk|key)s?$|^(data|text|body|payload|value|line)$/i;
const CENSORED = '[hidden]';

/** Bounds of what one line may show. */
const STRING_CHARS_MAX = 1_024;
const STACK_CHARS_MAX = 4_096;
const ITEMS_MAX = 32;
const DEPTH_MAX = 4;
const CAUSES_MAX = 3;

const LEVELS = { info: 30, fatal: 60 } as const;

export interface LoggerSettings {
  readonly level: string;
  readonly node: string;
}

/** What the process says of itself: a JSON object a line, none of them huge, none with a secret. */
export function createLogger({ level, node }: LoggerSettings, destination?: DestinationStream): Logger {
  const budget = new LineBudget();
  const options = {
    level,
    base: { pid: process.pid, node },
    formatters: { log: (fields: object) => shownFields(fields, 0) },
    // What is left is shown already.
    serializers: { err: (shownErr: unknown) => shownErr },
    hooks: {
      logMethod(this: Logger, args: Parameters<pino.LogFn>, method: pino.LogFn, levelNumber: number) {
        const [first, second] = args as readonly unknown[];
        const [fields, message] = typeof first === 'string' ? [{}, first] : [first as object, second as string];
        // Whoever asks for more than info wants all of it, and the last words are never too many.
        const isBounded = levelNumber >= LEVELS.info && levelNumber < LEVELS.fatal;
        const leftOut = isBounded ? budget.take(`${levelNumber} ${message}`, performance.now()) : 0;
        if (leftOut === null) return;
        method.call(this, leftOut === 0 ? fields : { ...fields, alikeLeftOut: leftOut }, message);
      },
    },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

function shown(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return shortened(value, STRING_CHARS_MAX);
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return shownError(value, 0);
  if (depth >= DEPTH_MAX) return '[deep]';
  // Bytes are what clients say, if anything.
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.slice(0, ITEMS_MAX).map((item) => shown(item, depth + 1));
  return shownFields(value, depth + 1);
}

function shownFields(fields: object, depth: number): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields).slice(0, ITEMS_MAX)) {
    result[key] = HIDDEN.test(key) ? CENSORED : shown(value, depth);
  }
  return result;
}

/** Without the fields that libraries put onto errors: jose's hold a token's claims. */
function shownError(error: Error, depth: number): object {
  const { name, message, stack, cause } = error;
  const { code } = error as { code?: unknown };
  return {
    type: shortened(name, STRING_CHARS_MAX),
    message: shortened(message, STRING_CHARS_MAX),
    stack: shortened(stack ?? '', STACK_CHARS_MAX),
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    ...(cause instanceof Error && depth < CAUSES_MAX && { cause: shownError(cause, depth + 1) }),
  };
}

function shortened(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax)}… and ${text.length - charsMax} more`;
}
