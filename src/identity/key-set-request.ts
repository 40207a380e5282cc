/** Bounds of a key set as it is served: decompressed bytes, and keys. */
export const KEY_SET_BOUNDS = { bytesMax: 262_144, keysMax: 100 } as const;

/**
 * Asks for a key set (RFC 7517 section 5), within bounds: the other side may be broken, or not be who we think.
 * Redirects are not followed: they would let whoever can place one name the keys.
 *
 * @param init with a signal that ends the request wherever it stands
 * @returns a response that is here completely and holds JSON with at most as many keys as allowed
 * @throws Error that says what was wrong with the answer, and never quotes it
 */
export async function requestKeySet(url: string, init: RequestInit & { readonly signal: AbortSignal }) {
  const response = await fetch(url, { ...init, redirect: 'manual' });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the key set's address answered ${response.status}`);
  }
  const text = await boundedText(response);
  requireKeySet(text);
  return new Response(text);
}

/** Counted while reading: `Content-Length` may be absent or lie, and says nothing of what a decompressor makes of it. */
async function boundedText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  // Leaving the loop early cancels the body and with it the connection.
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > KEY_SET_BOUNDS.bytesMax) throw new Error(`the key set has more than ${KEY_SET_BOUNDS.bytesMax} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function requireKeySet(text: string): void {
  const keys = parseKeys(text);
  if (!Array.isArray(keys)) throw new Error('the answer is no key set');
  if (keys.length > KEY_SET_BOUNDS.keysMax) throw new Error(`the key set has more than ${KEY_SET_BOUNDS.keysMax} keys`);
}

function parseKeys(text: string): unknown {
  try {
    return (JSON.parse(text) as { readonly keys?: unknown } | null)?.keys;
  } catch {
    // V8 quotes the text in its error.
    return undefined;
  }
}
