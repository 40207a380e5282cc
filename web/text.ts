/** Half a surrogate pair is no text that could be sent. */
export function wellFormed(text: string): string {
  return text.replace(/[\uD800-\uDFFF]/gu, '\uFFFD');
}

export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
