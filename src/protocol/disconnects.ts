/**
 * Every reason for which the server ends a session, in one table. A WebSocket is closed with the same number.
 * 3000–3499: the client comes back. 3500–3999: it does not.
 */
export const DISCONNECTS = {
  drain: { code: 3000, meaning: 'this node goes away' },
  slow_consumer: { code: 3001, meaning: 'the client reads more slowly than its rooms speak' },
  heartbeat_timeout: { code: 3002, meaning: 'nothing was heard from the client' },
  overloaded: { code: 3003, meaning: 'not admitted, or shed under load' },
  token_expired: { code: 3004, meaning: 'the token of a live session ran out; reconnect with a fresh one' },
  internal: { code: 3005, meaning: 'our fault' },
  connect_timeout: { code: 3006, meaning: 'no `connect` came in time' },
  invalid_token: { code: 3500, meaning: 'the token was refused' },
  protocol_error: { code: 3501, meaning: 'the client broke the protocol' },
  forbidden: { code: 3502, meaning: 'not allowed here' },
  kicked: { code: 3503, meaning: 'removed by an operator' },
  replaced: { code: 3504, meaning: 'the same user and device connected again' },
  connection_limit: { code: 3505, meaning: 'too many sessions of this user or address' },
} as const satisfies Record<string, { code: number; meaning: string }>;

export type DisconnectReason = keyof typeof DISCONNECTS;

/** Whether a client comes back after this disconnect: the code's range says so. */
export function reconnects(reason: DisconnectReason): boolean {
  return DISCONNECTS[reason].code < 3500;
}
