import { LatencyHistogram } from './latency-histogram.ts';
import { PUBLISHERS_MAX } from './publication-data.ts';

/** A session that publishes, as the window sees it. */
export interface PublishingSession {
  /** Encodes and sends publications `first` to `first + count - 1` of this publisher in one write. */
  publish(first: number, count: number, sentUs: number): void;
}

/** Publications of one publisher that may be open: what tidegate's `publishesUnansweredMax` allows. */
export const OPEN_PER_PUBLISHER = 32;
/** Publications of a whole run that may be open: fewer than the 4,000 that tidegate lets wait for its log. */
export const OPEN_MAX = 3_200;

interface Publisher {
  readonly index: number;
  readonly session: PublishingSession;
  readonly roomIndex: number;
  /** Sequence number of the next publication to send. */
  next: number;
  /** Sequence number of the oldest one that is still open; equal to `next` if none is. */
  oldestOpen: number;
  /** How many to send at the next flush. */
  due: number;
}

/**
 * The closed loop: how many publications of the whole run may be open at once, and which are.
 *
 * A publication is open from its sending until its publisher has the server's answer *and every session of the
 * room has received it*. Answers alone would not bound the queues behind them: a server may answer at once and
 * deliver later. A freed place goes to the next publisher in turn, so that all rooms are equally busy whatever
 * the window.
 */
export class PublishWindow {
  /** Publications that may be open in the whole run. */
  limit = 0;
  /** Publications sent in the whole run. */
  sent = 0;
  readonly #publishers: Publisher[] = [];
  /** From sending a publication to its answer. */
  readonly answerHistogram = new LatencyHistogram();
  /** By place, see `placeOf`: when its publication was sent; µs. */
  readonly #sentUs: Float64Array;
  /** By place: deliveries, plus one for the answer, that its publication still waits for. */
  readonly #awaited: Int32Array;
  /** By place: 1 once its publication was answered. */
  readonly #answered: Uint8Array;
  #open = 0;
  #turn = 0;
  #flushPlanned = false;
  readonly #sessionsPerRoom: number;

  constructor(publishers: number, sessionsPerRoom: number) {
    if (publishers > PUBLISHERS_MAX) throw new RangeError(`${publishers} publishers`);
    const places = publishers * OPEN_PER_PUBLISHER;
    this.#sentUs = new Float64Array(places);
    this.#awaited = new Int32Array(places);
    this.#answered = new Uint8Array(places);
    this.#sessionsPerRoom = sessionsPerRoom;
  }

  /** Adds a publisher to the turn; its index in `data` is the number of those added before. */
  add(session: PublishingSession, roomIndex: number): number {
    const index = this.#publishers.length;
    this.#publishers.push({ index, session, roomIndex, next: 0, oldestOpen: 0, due: 0 });
    return index;
  }

  get open(): number {
    return this.#open;
  }

  /** Publications that the publishers of one room have sent. */
  sentTo(roomIndex: number): number {
    return this.#publishers.reduce((sum, one) => sum + (one.roomIndex === roomIndex ? one.next : 0), 0);
  }

  /**
   * The place that holds a delivered publication.
   *
   * @throws Error if this publication is not open in this room, or was not sent at `sentUs`.
   */
  placeOf(roomIndex: number, publisherIndex: number, sequence: number, sentUs: number): number {
    const publisher = this.#publishers[publisherIndex];
    if (publisher === undefined || publisher.roomIndex !== roomIndex) {
      throw new Error(`a delivery of publisher ${publisherIndex}, who is not of this room`);
    }
    const place = publisherIndex * OPEN_PER_PUBLISHER + (sequence % OPEN_PER_PUBLISHER);
    const isOpen = sequence >= publisher.oldestOpen && sequence < publisher.next;
    if (!isOpen || this.#sentUs[place] !== sentUs) {
      throw new Error(`publisher ${publisherIndex} has no open publication ${sequence} sent at ${sentUs} µs`);
    }
    return place;
  }

  /** One session received the publication in `place`, which `histogram` counts. Runs for every delivery. */
  delivered(place: number, nowUs: number, histogram: LatencyHistogram): void {
    histogram.record(nowUs - (this.#sentUs[place] as number));
    this.#settle(place);
  }

  /** One session will never receive the publication in `place`. */
  forgone(place: number): void {
    this.#settle(place);
  }

  /** @throws Error if the publication is not open, or was answered before. */
  answered(publisherIndex: number, sequence: number, nowUs: number): void {
    const publisher = this.#publishers[publisherIndex];
    const place = publisherIndex * OPEN_PER_PUBLISHER + (sequence % OPEN_PER_PUBLISHER);
    const isOpen = publisher !== undefined && sequence >= publisher.oldestOpen && sequence < publisher.next;
    if (!isOpen || this.#answered[place] === 1) {
      throw new Error(`publisher ${publisherIndex} got an answer for ${sequence}, which waits for none`);
    }
    this.#answered[place] = 1;
    this.answerHistogram.record(nowUs - (this.#sentUs[place] as number));
    this.#settle(place);
  }

  /** Has publishers `from` to `to - 1` publish once each, whatever the limit. */
  publishOnce(from: number, to: number): void {
    for (const publisher of this.#publishers.slice(from, to)) {
      publisher.due = 1;
      this.#open++;
      this.#send(publisher);
    }
  }

  /**
   * Has the next publisher in turn that may publish once, whatever the limit. That counts as sent at `scheduledUs`, a
   * whole number, when it should have been: what the client itself was late by is part of its latency. Returns false
   * if as many are open as may be, of all or of each.
   */
  publishAt(scheduledUs: number): boolean {
    if (this.#open >= OPEN_MAX) return false;
    const publishers = this.#publishers;
    for (let tried = 0; tried < publishers.length; tried++) {
      const publisher = publishers[this.#turn] as Publisher;
      this.#turn = (this.#turn + 1) % publishers.length;
      if (publisher.next - publisher.oldestOpen >= OPEN_PER_PUBLISHER) continue;
      publisher.due = 1;
      this.#open++;
      this.#send(publisher, scheduledUs);
      return true;
    }
    return false;
  }

  /** Sends as much as the limit allows, once this turn of the loop has read what there is to read. */
  planFlush(): void {
    if (this.#flushPlanned || this.#open >= this.limit) return;
    this.#flushPlanned = true;
    setImmediate(() => {
      this.#flushPlanned = false;
      this.#flush();
    });
  }

  #settle(place: number): void {
    const awaited = (this.#awaited[place] as number) - 1;
    this.#awaited[place] = awaited;
    if (awaited > 0) return;
    this.#open--;
    const publisherIndex = Math.floor(place / OPEN_PER_PUBLISHER);
    const publisher = this.#publishers[publisherIndex] as Publisher;
    const base = publisherIndex * OPEN_PER_PUBLISHER;
    while (
      publisher.oldestOpen < publisher.next &&
      this.#awaited[base + (publisher.oldestOpen % OPEN_PER_PUBLISHER)] === 0
    ) {
      publisher.oldestOpen++;
    }
    this.planFlush();
  }

  #flush(): void {
    const publishers = this.#publishers;
    const touched: Publisher[] = [];
    let fullInARow = 0;
    while (this.#open < this.limit && fullInARow < publishers.length) {
      const publisher = publishers[this.#turn] as Publisher;
      this.#turn = (this.#turn + 1) % publishers.length;
      if (publisher.next + publisher.due - publisher.oldestOpen >= OPEN_PER_PUBLISHER) {
        fullInARow++;
        continue;
      }
      fullInARow = 0;
      if (publisher.due === 0) touched.push(publisher);
      publisher.due++;
      this.#open++;
    }
    for (const publisher of touched) this.#send(publisher);
  }

  // The time is taken per write, not per flush: a publication must not look older than its write.
  #send(publisher: Publisher, sentUs = Math.floor(performance.now() * 1000)): void {
    const base = publisher.index * OPEN_PER_PUBLISHER;
    for (let sequence = publisher.next; sequence < publisher.next + publisher.due; sequence++) {
      const place = base + (sequence % OPEN_PER_PUBLISHER);
      this.#sentUs[place] = sentUs;
      this.#awaited[place] = this.#sessionsPerRoom + 1;
      this.#answered[place] = 0;
    }
    const first = publisher.next;
    const count = publisher.due;
    publisher.next += count;
    publisher.due = 0;
    this.sent += count;
    publisher.session.publish(first, count, sentUs);
  }
}
