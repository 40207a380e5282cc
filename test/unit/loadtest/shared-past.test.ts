import { beforeEach, describe, expect, it } from 'vitest';
import { FaultCount } from '../../../loadtest/crowd/fault-count.ts';
import { type PastReader, SharedPast } from '../../../loadtest/crowd/shared-past.ts';

let faults: FaultCount;
let past: SharedPast;
let ann: PastReader;
let bob: PastReader;

beforeEach(() => {
  faults = new FaultCount();
  past = new SharedPast('tea', faults);
  [ann, bob] = ['ann', 'bob'].map((name) => past.addReader(name)) as [PastReader, PastReader];
  for (const reader of [ann, bob]) past.begin(reader, 0);
});

/** Publication `sequence` of the one publisher stands at ten times its number. */
const at = (sequence: number, publisher = 7) => ({ offset: 10 * (sequence + 1), publisher, sequence });

function see(reader: PastReader, ...sequences: readonly number[]): void {
  for (const sequence of sequences) past.see(reader, at(sequence));
}

function found() {
  past.finish();
  const { lost, doubled, reordered } = faults.all;
  return { lost, doubled, reordered };
}

const NONE = { lost: 0, doubled: 0, reordered: 0 };

describe('a past that all readers of a room share', () => {
  it('is right where all see the same, whoever is ahead', () => {
    see(ann, 0, 1);
    see(bob, 0, 1, 2);
    see(ann, 2);
    for (const sequence of [0, 1, 2]) past.acknowledge(7, sequence, at(sequence).offset);
    expect(found()).toEqual(NONE);
  });

  it('counts what a reader was not shown in the midst of it', () => {
    see(ann, 0, 1, 2, 3);
    see(bob, 0, 3);
    expect(found()).toEqual({ ...NONE, lost: 2 });
    expect(faults.all.words).toEqual(['lost: tea: bob saw offset 40 where 20 was next']);
  });

  it('counts what a reader lacks at the end', () => {
    see(ann, 0, 1, 2);
    see(bob, 0);
    expect(found()).toEqual({ ...NONE, lost: 2 });
  });

  it('counts what was acknowledged and nobody has seen', () => {
    see(ann, 0);
    see(bob, 0);
    past.acknowledge(7, 0, 10);
    past.acknowledge(7, 1, 20);
    expect(found()).toEqual({ ...NONE, lost: 1 });
  });

  it('counts what a reader was shown twice, whether it is ahead or not', () => {
    see(ann, 0, 1, 1);
    see(bob, 0, 1, 0);
    expect(found()).toEqual({ ...NONE, doubled: 1, reordered: 1 });
  });

  it('counts a publication that stands in the room twice', () => {
    see(ann, 0, 1);
    past.see(ann, { offset: 30, publisher: 7, sequence: 1 });
    see(bob, 0, 1);
    past.see(bob, { offset: 30, publisher: 7, sequence: 1 });
    expect(found()).toEqual({ ...NONE, doubled: 1 });
  });

  it('counts a publication that was acknowledged at another place than where it is seen', () => {
    past.acknowledge(7, 0, 11);
    see(ann, 0);
    see(bob, 0);
    past.acknowledge(7, 0, 10);
    expect(found().doubled).toBe(1);
  });

  it("counts a publisher's publications that come out of their order", () => {
    past.see(ann, { offset: 10, publisher: 7, sequence: 1 });
    past.see(ann, { offset: 20, publisher: 7, sequence: 0 });
    past.see(bob, { offset: 10, publisher: 7, sequence: 1 });
    past.see(bob, { offset: 20, publisher: 7, sequence: 0 });
    expect(found()).toEqual({ ...NONE, reordered: 1 });
  });

  it('counts two readers that see the same in different orders', () => {
    see(ann, 0, 1);
    see(bob, 1, 0);
    expect(found()).toEqual({ ...NONE, lost: 1, reordered: 1 });
  });

  it('lets publications be missing that were never acknowledged', () => {
    see(ann, 0, 2);
    see(bob, 0, 2);
    past.acknowledge(7, 0, 10);
    past.acknowledge(7, 2, 30);
    expect(found()).toEqual(NONE);
  });

  it('expects of who comes later what lies behind their place, and of who goes nothing', () => {
    see(ann, 0, 1, 2);
    const late = past.addReader('late');
    past.begin(late, 20);
    see(late, 2, 3);
    past.removeReader(bob);
    see(ann, 3);
    expect(found()).toEqual(NONE);
  });

  it('waits for those who are here, where somebody comes at a place that they have not come to', () => {
    see(ann, 0);
    const late = past.addReader('late');
    past.begin(late, at(1).offset);
    see(late, 2, 3);
    see(ann, 1, 2, 3);
    see(bob, 0, 1, 2, 3);
    expect(found()).toEqual(NONE);
  });

  it('waits for nobody who goes, and expects of nobody what was said when they had gone', () => {
    see(ann, 0);
    see(bob, 0);
    past.acknowledge(7, 1, at(1).offset);
    const late = past.addReader('late');
    past.begin(late, at(1).offset);
    see(late, 2);
    past.removeReader(ann);
    past.removeReader(bob);
    see(late, 3);
    past.acknowledge(7, 3, at(3).offset);
    expect(found()).toEqual(NONE);
  });

  it('counts what those who were here did not see, though somebody who came did', () => {
    see(ann, 0);
    see(bob, 0);
    const late = past.addReader('late');
    past.begin(late, at(1).offset);
    see(late, 2);
    expect(found()).toEqual({ ...NONE, lost: 2 });
  });

  it('forgets what all have seen, and still knows what comes again', () => {
    for (let sequence = 0; sequence < 20_000; sequence++) {
      see(ann, sequence);
      see(bob, sequence);
    }
    const late = past.addReader('late');
    past.begin(late, at(19_990).offset);
    for (let sequence = 19_991; sequence < 20_000; sequence++) see(late, sequence);
    see(bob, 3);
    expect(found()).toEqual({ ...NONE, reordered: 1 });
    expect(past.length).toBe(20_000);
  });
});
