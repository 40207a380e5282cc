import { describe, expect, it } from 'vitest';
import { type LoadOptions, loadHelp, readLoadOptions } from '../../../loadtest/load-options.ts';
import { SCENARIOS } from '../../../loadtest/scenarios.ts';

function read(...args: readonly string[]): LoadOptions {
  const command = readLoadOptions(args, SCENARIOS);
  if (command.kind !== 'run') throw new Error(`it is to ${command.kind}`);
  return command.options;
}

describe("the load's options", () => {
  it('give each scenario its own defaults, which all end within a minute or so', () => {
    expect(read('fanout')).toMatchObject({ scenario: 'fanout', sessions: 1_000, roomSize: 1_000, transport: 'ws' });
    expect(read('herd')).toMatchObject({ replicas: 2, fault: 'kill' });
    for (const { name, scenario } of SCENARIOS) expect(scenario.plannedMs(read(name)), name).toBeLessThan(75_000);
  });

  it('are what they are told', () => {
    const args = ['rooms', '--sessions', '40', '--room', '8', '--rate', '7', '--transport', 'tcp', '--json', 'a.json'];
    expect(read(...args)).toMatchObject({ sessions: 40, roomSize: 8, rate: 7, transport: 'tcp', json: 'a.json' });
    expect(read('fanout', '--sessions', '30').roomSize).toBe(30);
  });

  it.each([
    [['nothing'], /^no scenario "nothing"; there are fanout, rooms, idle/],
    [[], /^one scenario, of fanout/],
    [['rooms', '--sessions', 'many'], /^--sessions is a whole number from 1 to 100000, not "many"$/],
    [['rooms', '--seconds', '0'], /^--seconds is a whole number from 1/],
    [['rooms', '--rate', ''], /^--rate is a whole number/],
    [['herd', '--fault', 'flood'], /^--fault is kill or drain or freeze, not "flood"$/],
    [['rooms', '--sessions', '3', '--processes', '4'], /too few for 4 processes/],
    [['rooms', '--sessions', '3', '--room', '4'], /^--room 4 is more than all sessions$/],
    [['rooms', '--internal', 'http://127.0.0.1:9100'], /of a gateway that --url or --tcp names/],
    [['rooms', '--url', 'http://127.0.0.1/ws'], /^--url is a URL that begins with ws:\/\/ or wss:\/\//],
    [['rooms', '--tcp', '7000'], /^--tcp is HOST:PORT/],
    [['rooms', '--url', 'ws://chat.example/ws'], /^chat\.example is another machine: --allow-remote/],
    [['rooms', '--url', 'ws://127.0.0.1.example/ws'], /is another machine/],
    [['--compare', 'a.json'], /^--compare takes two files/],
  ])('refuse %j', (args, words) => {
    expect(() => readLoadOptions(args, SCENARIOS)).toThrow(words);
  });

  it('let another machine be loaded by who says so', () => {
    const { given } = read('rooms', '--url', 'ws://chat.example/ws', '--allow-remote');
    expect(given?.urls.map(({ hostname }) => hostname)).toEqual(['chat.example']);
    expect(read('rooms', '--url', 'ws://[::1]:8080/ws', '--url', 'ws://localhost:8081/ws').given?.urls).toHaveLength(2);
  });

  it('say how many connections can be had, and how to have more', () => {
    expect(() => read('idle', '--sessions', '100000')).toThrow(/may open \d+ connections here.*ulimit -n 101000/);
  });

  it('compare two files', () => {
    const command = readLoadOptions(['--compare', 'a.json', 'b.json', '--html', 'c.html'], SCENARIOS);
    expect(command).toEqual({ kind: 'compare', files: ['a.json', 'b.json'], html: 'c.html' });
  });

  it('are explained', () => {
    const help = loadHelp(SCENARIOS);
    for (const { name, what } of SCENARIOS) expect(help).toMatch(new RegExp(`^  ${name} +\\d.* ${what}$`, 'm'));
    expect(readLoadOptions(['--help'], SCENARIOS)).toEqual({ kind: 'help' });
  });
});
