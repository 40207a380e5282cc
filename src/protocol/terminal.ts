// C0 and C1 controls (escape sequences begin with one), Unicode's line breaks, and the marks, embeddings,
// overrides and isolates by which bidirectional text is turned around.
const HARMFUL = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Text that others wrote, made harmless for a terminal: what could drive it becomes U+FFFD, visibly. */
export function harmless(text: string): string {
  return text.replaceAll('\t', ' ').replaceAll(HARMFUL, '\ufffd').toWellFormed();
}
