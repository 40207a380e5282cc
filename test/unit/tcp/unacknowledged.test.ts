import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Connected, KernelTable, keyOf, Lines } from '../../../src/tcp/kernel-table.ts';
import { UnacknowledgedWatch } from '../../../src/tcp/unacknowledged.ts';

/** As Linux 6.18 prints them. */
const V4 = `\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1678 1 0000000024ce14ba 100 0 0 10 0                      
   1: 0100007F:892F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1890016 1 00000000bb0ef94a 100 0 0 10 0                   
   2: 0100007F:892F 0100007F:E016 01 0039DC00:00000000 04:00000015 00000000     0        2 1890018 2 00000000d29fe5ec 20 0 0 15 -1                   
   3: 0100007F:E016 0100007F:892F 01 00000000:0001F400 00:00000000 00000000     0        0 1890017 1 00000000efd39bdb 20 8 0 10 -1                   
12345: 0100007F:892F 0200000A:C000 01 00000002:00000000 01:000004FA 0000000B 1234567       3 1890019 3 0000000000000000 20 0 0 15 -1                  
`;
const V6 = `\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:8A67 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1890030 1 00000000e78aaef6 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:8A67 0000000000000000FFFF00000100007F:8A46 01 0039DC00:00000000 04:00000015 00000000     0        1 1891795 2 000000004d7bea4f 20 0 0 15 -1
`;

function connected(local: string, remote: string): Connected {
  const [, localAddress, localPort] = /^(.*):(\d+)$/.exec(local) ?? [];
  const [, remoteAddress, remotePort] = /^(.*):(\d+)$/.exec(remote) ?? [];
  return { localAddress, localPort: Number(localPort), remoteAddress, remotePort: Number(remotePort) };
}

describe('keyOf', () => {
  it.each([
    ['127.0.0.1:35119', '10.0.0.2:57366', 'LE', '0100007F:892F 0200000A:E016'],
    ['127.0.0.1:35119', '10.0.0.2:57366', 'BE', '7F000001:892F 0A000002:E016'],
    [
      '::ffff:127.0.0.1:35431',
      '::ffff:10.0.0.2:80',
      'LE',
      '0000000000000000FFFF00000100007F:8A67 0000000000000000FFFF00000200000A:0050',
    ],
    [
      '::ffff:127.0.0.1:35431',
      '::ffff:10.0.0.2:80',
      'BE',
      '00000000000000000000FFFF7F000001:8A67 00000000000000000000FFFF0A000002:0050',
    ],
    [
      '::1:1',
      '2001:db8:0:1:2:3:4:5:65535',
      'LE',
      '00000000000000000000000001000000:0001 B80D0120010000000300020005000400:FFFF',
    ],
    [
      'fe80::a:b%eth0:1',
      '2001:db8:1234:5678:9abc:def0::1:1',
      'BE',
      'FE8000000000000000000000000A000B:0001 20010DB8123456789ABCDEF000000001:0001',
    ],
  ] as const)('prints %s and %s as the kernel does: %s', (local, remote, byteOrder, key) => {
    expect(keyOf(connected(local, remote), byteOrder)).toBe(key);
  });

  it('knows no key of a socket that is not connected', () => {
    const { localAddress, localPort, remoteAddress, remotePort } = connected('10.0.0.1:1', '10.0.0.2:2');
    expect(keyOf({ localAddress, localPort, remoteAddress })).toBeNull();
    expect(keyOf({ localAddress, localPort, remotePort })).toBeNull();
    expect(keyOf({ localAddress, remoteAddress, remotePort })).toBeNull();
    expect(keyOf({ localPort, remoteAddress, remotePort })).toBeNull();
  });
});

describe('KernelTable', () => {
  const keys = ['0100007F:892F 0100007F:E016', '0100007F:892F 0200000A:C000', '0100007F:E016 0100007F:892F'];

  function findIn(table: KernelTable<string>, text: string, chunkBytes = text.length): unknown[] {
    const found: unknown[] = [];
    const lines = new Lines((bytes, start, end) => {
      const connection = table.find(bytes, start, end);
      if (connection !== null) found.push({ connection, ...table.found });
    });
    const bytes = Buffer.from(text);
    // As a reader does, in the same memory again and again.
    const memory = Buffer.alloc(chunkBytes);
    for (let start = 0; start < bytes.length; start += chunkBytes) {
      const chunk = bytes.subarray(start, start + chunkBytes);
      chunk.copy(memory);
      lines.push(memory.subarray(0, chunk.length));
    }
    return found;
  }

  const probes = { connection: 'a', timer: 4, count: 2, whenMs: 210 };
  const retransmissions = { connection: 'b', timer: 1, count: 11, whenMs: 12_740 };

  it('finds ours among the lines if something is unanswered, wherever the chunks are cut', () => {
    const table = new KernelTable<string>('tcp', 4);
    expect(findIn(table, V4)).toEqual([]);
    table.set(keys[0] ?? '', 'a');
    table.set(keys[1] ?? '', 'b');
    table.set(keys[2] ?? '', 'c');
    for (let chunkBytes = 1; chunkBytes <= V4.length; chunkBytes += 1) {
      expect(findIn(table, V4, chunkBytes)).toEqual([probes, retransmissions]);
    }
    const v6 = new KernelTable<string>('tcp6', 6);
    v6.set('0000000000000000FFFF00000100007F:8A67 0000000000000000FFFF00000100007F:8A46', 'd');
    expect(findIn(v6, V6)).toEqual([{ connection: 'd', timer: 4, count: 1, whenMs: 210 }]);
    expect(findIn(v6, V4)).toEqual([]);
    expect(findIn(table, V6)).toEqual([]);
  });

  it('looks no further than the port at lines that are not ours', () => {
    const table = new KernelTable<string>('tcp', 4);
    table.set('0100007F:892E 0100007F:E016', 'other');
    const printed = vi.spyOn(Buffer.prototype, 'toString');
    expect(findIn(table, V4)).toEqual([]);
    expect(printed).not.toHaveBeenCalled();
    printed.mockRestore();
  });

  it('forgets a connection, and its port with the last of them', () => {
    const table = new KernelTable<string>('tcp', 4);
    table.set(keys[0] ?? '', 'a');
    table.set(keys[1] ?? '', 'b');
    table.delete(keys[0] ?? '', 'a');
    table.delete(keys[0] ?? '', 'a');
    expect(table.size).toBe(1);
    expect(findIn(table, V4)).toEqual([retransmissions]);
    table.delete(keys[1] ?? '', 'b');
    expect(table.size).toBe(0);
    expect(findIn(table, V4)).toEqual([]);
  });

  it('does not take a later connection of the same ends for the earlier one', () => {
    const table = new KernelTable<string>('tcp', 4);
    table.set(keys[0] ?? '', 'before');
    table.set(keys[0] ?? '', 'a');
    table.delete(keys[0] ?? '', 'before');
    expect(findIn(table, V4)).toEqual([probes]);
    table.delete(keys[0] ?? '', 'a');
    // Nor is its port known any more.
    const printed = vi.spyOn(Buffer.prototype, 'toString');
    expect(findIn(table, V4)).toEqual([]);
    expect(printed).not.toHaveBeenCalled();
    printed.mockRestore();
  });

  it('finds nothing in what is no such line', () => {
    const table = new KernelTable<string>('tcp', 4);
    table.set(keys[0] ?? '', 'a');
    const line = V4.split('\n')[3] ?? '';
    expect(findIn(table, `${line}\n`)).toHaveLength(1);
    for (const other of ['', ':', line.slice(0, 80), line.replace(' 01 ', '  01 '), line.replace('04:', '03:'), line]) {
      expect(findIn(table, `${other}\n${other}`)).toHaveLength(other === line ? 1 : 0);
    }
  });
});

const POLL_MS = 5_000;
const TIMEOUT_MS = 30_000;
const PEER = connected('127.0.0.1:35119', '127.0.0.1:57366');
const RETRANSMIT = 1;
const PROBE = 4;

describe('UnacknowledgedWatch', () => {
  /** What the kernel's table says of the peer at each look; null: that it can't be read. */
  let table: () => string | null = () => '';
  let reads: string[] = [];
  let watches: UnacknowledgedWatch[] = [];

  beforeEach(() => {
    vi.useFakeTimers();
    table = () => '';
    reads = [];
  });

  afterEach(() => {
    for (const watch of watches) watch.close();
    watches = [];
    vi.useRealTimers();
  });

  function newWatch(): UnacknowledgedWatch {
    const watch = new UnacknowledgedWatch({
      timeoutMs: TIMEOUT_MS,
      pollMs: POLL_MS,
      files: { v4: 'four', v6: 'six' },
      async *read(path) {
        reads.push(path);
        const text = table();
        if (text === null) throw new Error('too many open files');
        yield Buffer.from(text);
      },
    });
    watches.push(watch);
    return watch;
  }

  /** A line of the kernel's for the peer, or for another local port. */
  function line(timer: number, count: number, whenMs: number, localPort = 0x892f): string {
    const [retransmissions, probes] = timer === RETRANSMIT ? [count, 0] : [0, count];
    const port = localPort.toString(16).toUpperCase().padStart(4, '0');
    const when = (whenMs / 10).toString(16).toUpperCase().padStart(8, '0');
    const hex = retransmissions.toString(16).toUpperCase().padStart(8, '0');
    const ends = `0100007F:${port} 0100007F:E016`;
    return `   2: ${ends} 01 0039DC00:00000000 0${timer}:${when} ${hex}     0 ${String(probes).padStart(8)} 18 2 0\n`;
  }

  /**
   * The looks at which the peer was found to have vanished, counted from 1, if the kernel says the one after the
   * other of it; and nothing thereafter.
   */
  async function foundAt(texts: readonly (string | null)[]): Promise<number[]> {
    const watch = newWatch();
    let looks = 0;
    table = () => {
      const text = texts[looks] ?? '';
      looks += 1;
      return texts[looks - 1] === null ? null : text;
    };
    const found: number[] = [];
    watch.add(PEER, () => found.push(looks));
    await vi.advanceTimersByTimeAsync((texts.length + 2) * POLL_MS);
    expect(watch.size).toBe(found.length === 0 ? 1 : 0);
    watch.close();
    return found;
  }

  /** Of a kernel that gets no answer from `begunMs` on: timeouts of 200 ms, 400 ms, and so on. */
  function silence(timer: number, begunMs: number, looks: number): string[] {
    return Array.from({ length: looks }, (_, i) => {
      const silentMs = (i + 1) * POLL_MS - begunMs;
      let count = 0;
      while (200 * (2 ** (count + 1) - 1) <= silentMs) count += 1;
      return silentMs < 0 ? '' : line(timer, count, 200 * (2 ** (count + 1) - 1) - silentMs);
    });
  }

  it.each([
    ['retransmits', RETRANSMIT],
    ['probes', PROBE],
  ])('finds a peer to which the kernel %s in vain for as long as the timeout', async (_, timer) => {
    // Seen at looks 2 to 8: six times the pause between looks.
    expect(await foundAt(silence(timer, POLL_MS + 1_000, 20))).toEqual([8]);
  });

  it('leaves one alone that answers before the timeout', async () => {
    expect(await foundAt(silence(RETRANSMIT, POLL_MS + 1_000, 7))).toEqual([]);
  });

  it.each([RETRANSMIT, PROBE])('takes a single loss for no evidence (timer %d)', async (timer) => {
    const looks = Array.from({ length: 20 }, (_, i) => line(timer, 1, 120_000 - i * POLL_MS));
    expect(await foundAt(looks)).toEqual([]);
    const second = [...looks, line(timer, 2, 60_000)];
    expect(await foundAt(second)).toEqual([21]);
  });

  it('knows by a count that falls that there was an answer', async () => {
    const silent = silence(RETRANSMIT, POLL_MS + 1_000, 20);
    const looks = [...silent.slice(0, 6), line(RETRANSMIT, 1, 200), ...silent.slice(6)];
    expect(await foundAt(looks)).toEqual([13]);
  });

  it.each([RETRANSMIT, PROBE])('knows it by a count that has not grown when it was time (timer %d)', async (timer) => {
    // A peer that answers each time, but was asked again shortly before each look.
    expect(await foundAt(Array.from({ length: 50 }, () => line(timer, 2, 300)))).toEqual([]);
    // The timer's end is remembered from look to look.
    const looks = Array.from({ length: 50 }, (_, i) => line(timer, 3, i % 2 === 0 ? 4_900 : 100_000));
    expect(await foundAt(looks)).toEqual([]);
    // The kernel may be a bit late: its timers are coarse, the longer the more so.
    const late = [line(timer, 2, 40_000), ...Array.from({ length: 9 }, () => line(timer, 2, 0))];
    expect(await foundAt(late)).toEqual([7]);
  });

  it('knows it by another timer, and by a look without a sign', async () => {
    const silent = silence(RETRANSMIT, POLL_MS + 1_000, 20);
    const asked = silence(PROBE, POLL_MS + 1_000, 20);
    const probed = silent.map((text, i) => (i === 5 ? (asked[i] ?? '') : text));
    expect(await foundAt(probed)).toEqual([13]);
    for (const sign of ['', line(RETRANSMIT, 0, 200), line(3, 0, 200), line(RETRANSMIT, 9, 200, 35_120)]) {
      expect(await foundAt(silent.map((text, i) => (i === 5 ? sign : text)))).toEqual([13]);
    }
  });

  it('goes on where it was after a look at which nothing could be read', async () => {
    const silent = silence(RETRANSMIT, POLL_MS + 1_000, 20);
    expect(await foundAt(silent.map((text, i) => (i === 5 ? null : text)))).toEqual([8]);
  });

  it('does not count the time for which it did not look', async () => {
    const watch = newWatch();
    const found = vi.fn();
    let count = 1;
    table = () => {
      count += 1;
      return line(RETRANSMIT, count, 60_000);
    };
    watch.add(PEER, found);
    await vi.advanceTimersByTimeAsync(POLL_MS);
    // The process is stopped: its clock goes on, and its timers come late.
    const now = vi.spyOn(performance, 'now').mockImplementation(() => Date.now() - begun + 3_600_000);
    const begun = Date.now();
    onTestFinished(() => void now.mockRestore());
    await vi.advanceTimersByTimeAsync(4 * POLL_MS);
    expect(found).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(POLL_MS);
    expect(found).toHaveBeenCalledTimes(1);
  });

  it('is told of once, and forgotten; one that was deleted is not told of', async () => {
    const watch = newWatch();
    const other = connected('127.0.0.1:35120', '127.0.0.1:57366');
    const third = connected('127.0.0.1:35121', '127.0.0.1:57366');
    const silent = silence(RETRANSMIT, 0, 100);
    let looks = 0;
    table = () => {
      const text = silent[looks] ?? '';
      looks += 1;
      return [text, text.replace('892F', '8930'), text.replace('892F', '8931')].join('');
    };
    const calls: string[] = [];
    watch.add(PEER, () => {
      calls.push('peer');
      watch.delete(other);
    });
    watch.add(other, () => calls.push('other'));
    watch.add(third, () => calls.push('before'));
    watch.add(third, () => calls.push('third'));
    expect(watch.size).toBe(3);
    await vi.advanceTimersByTimeAsync(20 * POLL_MS);
    expect(calls).toEqual(['peer', 'third']);
    expect(watch.size).toBe(0);
  });

  it('reads only while there are sockets, only the tables of their versions, and one at a time', async () => {
    const watch = newWatch();
    await vi.advanceTimersByTimeAsync(10 * POLL_MS);
    expect(vi.getTimerCount()).toBe(0);
    watch.add(PEER, () => {});
    watch.add(connected('127.0.0.1:35119', '127.0.0.1:2'), () => {});
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(POLL_MS);
    expect(reads).toEqual(['four']);
    const six = connected('::ffff:127.0.0.1:35119', '::ffff:127.0.0.1:57366');
    watch.add(six, () => {});
    await vi.advanceTimersByTimeAsync(POLL_MS);
    expect(reads).toEqual(['four', 'four', 'six']);
    watch.close();
    expect(watch.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    watch.add(six, () => {});
    await vi.advanceTimersByTimeAsync(POLL_MS);
    expect(reads).toEqual(['four', 'four', 'six', 'six']);
    watch.delete(six);
    watch.delete(six);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('never begins a look before the last has ended', async () => {
    let go = () => {};
    let underWay = 0;
    const watch = new UnacknowledgedWatch({
      pollMs: POLL_MS,
      async *read() {
        underWay += 1;
        await new Promise<void>((resolve) => {
          go = resolve;
        });
        underWay -= 1;
        yield Buffer.alloc(0);
      },
    });
    watches.push(watch);
    watch.add(PEER, () => {});
    await vi.advanceTimersByTimeAsync(POLL_MS);
    expect(underWay).toBe(1);
    watch.add(connected('127.0.0.1:35119', '127.0.0.1:2'), () => {});
    await vi.advanceTimersByTimeAsync(10 * POLL_MS);
    expect(underWay).toBe(1);
    go();
    await vi.advanceTimersByTimeAsync(0);
    expect(underWay).toBe(0);
    await vi.advanceTimersByTimeAsync(POLL_MS);
    expect(underWay).toBe(1);
    go();
  });

  it('ignores a socket that is not connected any more', () => {
    const watch = newWatch();
    watch.add({}, () => {});
    expect(watch.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('says whether the tables can be read, and does nothing where there are none', async () => {
    const watch = newWatch();
    watch.add(PEER, () => {});
    expect(watch.available).toBe(true);
    table = () => null;
    await vi.advanceTimersByTimeAsync(POLL_MS);
    expect(watch.available).toBe(false);
    table = () => '';
    await vi.advanceTimersByTimeAsync(POLL_MS);
    expect(watch.available).toBe(true);
    watch.close();
    const elsewhere = new UnacknowledgedWatch({ files: { v4: '/nowhere/tcp', v6: '/nowhere/tcp6' } });
    expect(elsewhere.available).toBe(false);
    elsewhere.add(PEER, () => {});
    expect(elsewhere.size).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
    elsewhere.close();
  });

  it('reads files', async () => {
    vi.useRealTimers();
    const directory = await mkdtemp(join(tmpdir(), 'tidegate-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    const files = { v4: join(directory, 'tcp'), v6: join(directory, 'tcp6') };
    await writeFile(files.v4, V4.repeat(200));
    const watch = new UnacknowledgedWatch({ timeoutMs: 5, pollMs: 5, files });
    watches.push(watch);
    expect(watch.available).toBe(true);
    const found = vi.fn();
    watch.add(PEER, found);
    await vi.waitFor(() => expect(found).toHaveBeenCalledTimes(1));
  });
});
