import { type RedisSettings, shownAddress } from './redis-settings.ts';

/** Redis, or how it is set up, is not as replicas need it; the message says what to do. */
export class RedisSetupError extends Error {
  override readonly name = 'RedisSetupError';
}

/** The user's rights, as `ACL SETUSER` takes them; docs/OPERATIONS.md has the same. */
export function rightsOf(prefix: string): string {
  const commands = [
    'hello',
    'auth',
    'select',
    'ping',
    'info',
    'eval',
    'evalsha',
    'publish',
    'pubsub',
    'subscribe',
    'unsubscribe',
  ];
  const rights = commands.map((command) => `+${command}`).join(' ');
  return `~{${prefix}}* &{${prefix}}:* -@all +@read +@write -@dangerous +time +client|setname ${rights}`;
}

/** What an operator can do about an error, by what it says. An error that is not here may pass by itself. */
const ADVICE: readonly (readonly [RegExp, (settings: RedisSettings) => string])[] = [
  [
    /sentinel.*(WRONGPASS|NOAUTH|NOPERM)/i,
    () => 'see TIDEGATE_REDIS_SENTINEL_USER and TIDEGATE_REDIS_SENTINEL_PASSWORD',
  ],
  [/sentinel.*invalid reply/i, () => 'the Sentinels know no primary of that name, see TIDEGATE_REDIS_SENTINEL_NAME'],
  [/unknown command 'sentinel'/i, () => 'what listens there is no Sentinel, see TIDEGATE_REDIS_SENTINELS'],
  [/WRONGPASS/, () => 'the user and the password in TIDEGATE_REDIS_URL are none of its'],
  [/NOAUTH|DENIED/, () => 'it wants a password, or a user and a password, in TIDEGATE_REDIS_URL'],
  [/NOPERM|The user executing the script/, ({ prefix }) => `its user needs these rights: ${rightsOf(prefix)}`],
  [
    /certificate required|alert handshake failure|unknown ca/i,
    () => 'it wants a certificate that it knows: TIDEGATE_REDIS_CERT and TIDEGATE_REDIS_KEY',
  ],
  [
    /certificate|altnames/i,
    () =>
      'TIDEGATE_REDIS_CA must have the authority that signs its certificate, and that must name the address that is asked for',
  ],
  [/speaks no TLS/, () => 'TIDEGATE_REDIS_URL must begin with redis:'],
  [/speaks TLS/, () => 'TIDEGATE_REDIS_URL must begin with rediss:'],
  [/RESP type/, () => 'what listens there is no Redis'],
  [/DB index/, () => 'it has no database of the number in TIDEGATE_REDIS_URL'],
];

/** What keeps this process from using Redis, in words for its operator; null: it may pass by itself. */
export function setupErrorOf(error: Error, settings: RedisSettings): RedisSetupError | null {
  if (error instanceof RedisSetupError) return error;
  const advice = ADVICE.find(([form]) => form.test(error.message))?.[1](settings);
  if (advice === undefined) return null;
  return new RedisSetupError(`Redis can't be used at ${shownAddress(settings)}: ${wordsOf(error)}: ${advice}`);
}

/** What an error says, without what is for the authors of the client, or of OpenSSL. */
export function wordsOf({ message }: Error): string {
  if (message.startsWith('Socket timeout')) return 'it does not answer';
  const [words = ''] = message.split(/:\.\.\/|\. Please report this/);
  return words.replace(/^Redis is not available: |^\w+:error:\w+:SSL routines:\w*:/, '').replace(/[.\s]+$/, '');
}
