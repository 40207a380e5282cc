import { describe, expect, it } from 'vitest';
import { type Keyboard, Screen } from '../../../src/chat/screen.ts';
import { FakeTerminal } from './fake-terminal.ts';

const ESC = '\u001b';

interface Typed {
  readonly lines: string[];
  ends: number;
  interrupts: number;
}

function open({ columns = 40, hasColours = false, canEdit = true } = {}) {
  const terminal = new FakeTerminal(columns, hasColours);
  const typed: Typed = { lines: [], ends: 0, interrupts: 0 };
  const keyboard: Keyboard = {
    onLine: (line) => typed.lines.push(line),
    onEnd: () => {
      typed.ends += 1;
    },
    onInterrupt: () => {
      typed.interrupts += 1;
    },
  };
  const screen = new Screen({ input: terminal.keys, output: terminal, canEdit, keyboard });
  screen.prompt('tea');
  return { terminal, screen, typed };
}

const COLOURS = new RegExp(`${ESC}\\[(0|2|31)m`, 'g');

const message = (text: string) => ({
  ...{ room: 'tea', epoch: 'e', offset: 1, from: 'bob', mid: 'm', ts: 1 },
  data: { text },
});

/** Lets keys arrive, and lines be drawn. */
async function drawn(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('a terminal', () => {
  it('shows messages above the line that is being edited, which stays as it is', async () => {
    const { terminal, screen, typed } = open();
    terminal.keys.write('half a sen');
    await drawn();
    screen.message(message('one'));
    screen.note('# two');
    screen.error('three: four');
    await drawn();
    expect(terminal.lines).toEqual(['[tea] bob: one', '# two', '! three: four', 'tea> half a sen']);
    expect(terminal.cursor).toEqual({ row: 3, column: 'tea> half a sen'.length });
    terminal.keys.write('tence\r');
    await drawn();
    expect(typed.lines).toEqual(['half a sentence']);
    expect(terminal.lines.slice(3)).toEqual(['tea> half a sentence', 'tea>']);
  });

  it('leaves the cursor where it is in the line', async () => {
    const { terminal, screen, typed } = open();
    terminal.keys.write('word\u001b[D\u001b[D');
    await drawn();
    screen.message(message('one'));
    await drawn();
    expect(terminal.lines).toEqual(['[tea] bob: one', 'tea> word']);
    expect(terminal.cursor).toEqual({ row: 1, column: 7 });
    terminal.keys.write('-\r');
    await drawn();
    expect(typed.lines).toEqual(['wo-rd']);
  });

  it.each([
    ['at its end', ''],
    ['in its first row', '\u001b[H'],
    ['in its middle', '\u001b[D'.repeat(25)],
  ])('does so, too, where the line takes several rows and the cursor is %s', async (_where, moves) => {
    const { terminal, screen } = open({ columns: 20 });
    const line = Array.from({ length: 55 }, (_, i) => String(i % 10)).join('');
    terminal.keys.write(`${line}${moves}`);
    await drawn();
    const before = { lines: terminal.lines, cursor: terminal.cursor };
    expect(before.lines.join('')).toBe(`tea> ${line}`);
    for (const text of ['one', 'two']) {
      screen.message(message(text));
      await drawn();
    }
    expect(terminal.lines).toEqual(['[tea] bob: one', '[tea] bob: two', ...before.lines]);
    expect(terminal.cursor).toEqual({ row: before.cursor.row + 2, column: before.cursor.column });
  });

  it('shows messages that are longer than a row', async () => {
    const { terminal, screen } = open({ columns: 20 });
    terminal.keys.write('hello');
    await drawn();
    screen.message(message('x'.repeat(30)));
    await drawn();
    expect(terminal.lines).toEqual(['[tea] bob: xxxxxxxxx', 'xxxxxxxxxxxxxxxxxxxxx'.slice(1), 'x', 'tea> hello']);
  });

  it('has the current room as its prompt', async () => {
    const { terminal, screen } = open();
    terminal.keys.write('typed');
    await drawn();
    screen.prompt('coffee');
    expect(terminal.lines).toEqual(['coffee> typed']);
    screen.prompt(null);
    expect(terminal.lines).toEqual(['> typed']);
  });

  it('cannot be driven by what others wrote', async () => {
    const { terminal, screen } = open({ hasColours: true });
    await drawn();
    terminal.sent = '';
    const evil = '\u001b[2J\u009b2J\r\n\u202e\u2028\u0007';
    screen.message({ ...message(evil), from: evil, room: evil });
    screen.note(`* ${evil} is online: ${evil}`);
    screen.error(`forbidden: ${evil}`);
    await drawn();
    const [wiped = '', ...shown] = terminal.sent.split(`\r${ESC}[J`);
    expect(wiped).toBe('');
    const lines = shown.join('').split('\n').slice(0, 3);
    for (const line of lines) {
      // Its own colours, and nothing else.
      const bare = line.replaceAll(COLOURS, '');
      expect(bare).toContain('\ufffd[2J\ufffd2J\ufffd\ufffd\ufffd\ufffd\ufffd');
      expect(bare).not.toMatch(/[\p{Cc}\u2028\u202e]/u);
    }
    expect(lines[0]).toMatch(/^\[/);
    expect(lines[1]?.startsWith(`${ESC}[2m* `)).toBe(true);
    expect(lines[2]?.startsWith(`${ESC}[31m! `)).toBe(true);
    for (const line of lines.slice(1)) expect(line.endsWith(`${ESC}[0m`)).toBe(true);
  });

  it('has colours only where they are wanted', async () => {
    const { terminal, screen } = open({ hasColours: false });
    screen.note('# plain');
    await drawn();
    expect(terminal.sent).toContain('# plain\n');
    expect(terminal.sent).not.toMatch(COLOURS);
  });

  it('tells Ctrl-C from Ctrl-D', async () => {
    const { terminal, typed } = open();
    terminal.keys.write('\u0003');
    await drawn();
    expect(typed).toEqual({ lines: [], ends: 0, interrupts: 1 });
    terminal.keys.write('\u0004');
    await drawn();
    expect(typed).toEqual({ lines: [], ends: 1, interrupts: 1 });
  });

  it('that is gone is an end', async () => {
    const { terminal, typed } = open();
    terminal.keys.destroy(new Error('read EIO'));
    await drawn();
    expect(typed.ends).toBeGreaterThan(0);
  });

  it('shows what comes after the end without a prompt', async () => {
    const { terminal, screen } = open();
    screen.note('# before');
    screen.close();
    screen.note('# after');
    screen.flush();
    await drawn();
    expect(terminal.lines).toEqual(['# before', 'tea>', '# after', '']);
  });

  it('that cannot move its cursor just has lines', async () => {
    const { terminal, screen, typed } = open({ canEdit: false, hasColours: true });
    terminal.keys.write('hello\n');
    screen.note('# one');
    screen.message(message('two'));
    await drawn();
    expect(terminal.sent).toBe('# one\n[tea] bob: two\n');
    expect(typed.lines).toEqual(['hello']);
  });
});
