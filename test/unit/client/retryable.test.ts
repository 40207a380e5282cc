import { expect, it } from 'vitest';
import { ClientError } from '../../../src/client/client-error.ts';
import { RETRYABLE } from '../../../src/client/connection.ts';
import { isRetryable } from '../../../src/client/questions.ts';
import { ERRORS, type ErrorCode } from '../../../src/protocol/errors.ts';

const codes = Object.keys(ERRORS) as ErrorCode[];

it('knows the errors after which a command may be sent again as the server does', () => {
  expect([...RETRYABLE].sort()).toEqual(codes.filter((code) => ERRORS[code].retry).sort());
});

it.each(codes)('tries again after %s only if the table says so', (code) => {
  expect(isRetryable(new ClientError(code, 'no'))).toBe(ERRORS[code].retry);
});
