/** Records that were to be read have been deleted meanwhile: where the log begins has to be asked for anew. */
export class RecordsGoneError extends Error {
  override readonly name = 'RecordsGoneError';

  /** @param expected the offset that came next, instead of which `found` came */
  constructor(partition: number, expected: number, found: number) {
    super(`partition ${partition} went on at offset ${found} instead of ${expected}`);
  }
}
