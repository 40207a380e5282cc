import { expect, test } from 'vitest';
import { dedupeId } from '../../src/fanout/dedupe.ts';
import { PendingTable, type TableEntry } from '../../src/fanout/pending-table.ts';

interface Entry extends TableEntry<Entry> {
  readonly number: number;
}

test('a table finds what is in it and nothing else, also beyond the number it was made for', () => {
  const table = new PendingTable<Entry>(20);
  const entries = Array.from({ length: 500 }, (_, number): Entry => {
    return { id: dedupeId('user', 'room', String(number)), number, next: undefined };
  });
  for (const entry of entries) {
    expect(table.get(entry.id)).toBeUndefined();
    table.add(entry);
  }
  expect(table.size).toBe(500);
  for (const entry of entries.filter(({ number }) => number % 3 === 0)) table.delete(entry);
  for (const entry of entries) expect(table.get(entry.id)).toBe(entry.number % 3 === 0 ? undefined : entry);
  for (const entry of entries.filter(({ number }) => number % 3 === 0).reverse()) table.add(entry);
  for (const entry of entries) expect(table.get(entry.id)).toBe(entry);
  for (const entry of entries) table.delete(entry);
  expect(table.size).toBe(0);
  for (const entry of entries) expect(table.get(entry.id)).toBeUndefined();
  expect(() => table.delete(entries[0] as Entry)).toThrow('not in the table');
});
