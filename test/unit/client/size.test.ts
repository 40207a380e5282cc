import { expect, test } from 'vitest';
import { bundleClient, sizeOf } from '../../../web/bundle.ts';

const GZIP_BYTES_MAX = 8_192;

test(`the client library has at most ${GZIP_BYTES_MAX} bytes, minified and compressed`, async () => {
  const { name, bytes, gzipBytes } = sizeOf(await bundleClient());
  expect(name).toBe('client.js');
  expect(gzipBytes).toBeLessThanOrEqual(GZIP_BYTES_MAX);
  expect(gzipBytes).toBeLessThan(bytes);
});
