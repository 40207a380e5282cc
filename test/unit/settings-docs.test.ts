import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Variable } from '../../src/variable-kinds.ts';
import { VARIABLES } from '../../src/variables.ts';

const OPERATIONS = readFileSync(new URL('../../docs/OPERATIONS.md', import.meta.url), 'utf8');

it('docs/OPERATIONS.md has every setting, in order, as --help tells it', () => {
  const [, section = ''] = OPERATIONS.split('\n## Settings\n');
  const rows = section.split('\n## ')[0]?.match(/^\| `TIDEGATE_.*$/gm) ?? [];
  expect(rows).toEqual(
    Object.values<Variable<unknown> & { readonly name: string }>(VARIABLES).map((variable) => {
      const { name, fallback, fallbackShown, expected, help, later } = variable;
      const shown = fallbackShown ?? (fallback === '' ? 'none' : `\`${fallback}\``);
      return `| \`${name}\` | ${shown} | ${later ? '(no effect yet) ' : ''}${help} | ${expected} |`;
    }),
  );
});
