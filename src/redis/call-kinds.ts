/** What Redis is asked for, as far as it is told apart. */
export const CALL_KINDS = [
  'lease',
  'presence_write',
  'presence_read',
  'reap',
  'history_write',
  'history_read',
  'peers',
  'publish',
  'other',
] as const;
export type CallKind = (typeof CALL_KINDS)[number];

const BY_NAME: readonly (readonly [RegExp, CallKind])[] = [
  [/^presence-lease$/, 'lease'],
  [/^presence-(write|anew|release)$/, 'presence_write'],
  [/^presence-(read-|compare$)/, 'presence_read'],
  [/^presence-(reap|sweep)$/, 'reap'],
  [/^history-(write|release)$/, 'history_write'],
  [/^history-/, 'history_read'],
  [/^peers-/, 'peers'],
  [/^publish$/, 'publish'],
];

/** @param name of a script, or of a command in small letters */
export function callKind(name: string): CallKind {
  return BY_NAME.find(([form]) => form.test(name))?.[1] ?? 'other';
}
