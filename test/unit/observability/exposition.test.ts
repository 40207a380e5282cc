import { describe, expect, it } from 'vitest';
import { parseExposition, seriesValue } from './exposition.ts';

const head = (type: string) => `# HELP a words\n# TYPE a ${type}\n`;
const BUCKETS = 'a_bucket{le="0.1"} 1\na_bucket{le="+Inf"} 3\na_sum 2.5e-1\na_count 3\n';

describe('the parser of the text format', () => {
  it('reads what is right', () => {
    const page = parseExposition(
      `${head('counter')}a{x="1\\"\\\\\\n,}",y=""} 7\n\n# HELP b b\n# TYPE b histogram\n${BUCKETS.replaceAll('a_', 'b_')}`,
    );
    expect(page.get('a')).toEqual({
      name: 'a',
      type: 'counter',
      help: 'words',
      samples: [{ name: 'a', labels: { x: '1"\\\n,}', y: '' }, value: 7 }],
    });
    expect(seriesValue(page, 'b_bucket', { le: '0.1' })).toBe(1);
    expect(seriesValue(page, 'b_sum')).toBe(0.25);
    expect(() => seriesValue(page, 'a', { x: '1' })).toThrow('no a');
  });

  it.each([
    ['no end', `${head('gauge')}a 1`],
    ['no HELP', '# TYPE a gauge\na 1\n'],
    ["another's HELP", '# HELP b b\n# TYPE a gauge\na 1\n'],
    ['no TYPE', 'a 1\n'],
    ['an unknown type', head('number')],
    ['a metric twice', head('gauge') + head('gauge')],
    ["another's sample", `${head('gauge')}b 1\n`],
    ['a comment', `${head('gauge')}# hello\n`],
    ['a series twice', `${head('gauge')}a{x="1",y="2"} 1\na{y="2",x="1"} 1\n`],
    ['a label twice', `${head('gauge')}a{x="1",x="1"} 1\n`],
    ['an open quote', `${head('gauge')}a{x="1} 1\n`],
    ['a quote inside', `${head('gauge')}a{x="1"2"} 1\n`],
    ['an unknown escape', `${head('gauge')}a{x="\\t"} 1\n`],
    ['a comma at the end', `${head('gauge')}a{x="1",} 1\n`],
    ['no number', `${head('gauge')}a one\n`],
    ['a counter below 0', `${head('counter')}a -1\n`],
    ['buckets that fall', head('histogram') + BUCKETS.replace('} 1', '} 4')],
    ['bounds that fall', head('histogram') + BUCKETS.replace('a_b', 'a_bucket{le="0.2"} 1\na_b')],
    ['no last bucket', head('histogram') + BUCKETS.replace('a_bucket{le="+Inf"} 3\n', '')],
    ['another count', head('histogram') + BUCKETS.replace('a_count 3', 'a_count 4')],
    ['no sum', head('histogram') + BUCKETS.replace('a_sum 2.5e-1\n', '')],
  ])('refuses %s', (_, text) => {
    expect(() => parseExposition(text)).toThrow();
  });
});
