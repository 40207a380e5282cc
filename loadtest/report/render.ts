import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { LoadResult } from '../load-result.ts';

const FOLDER = fileURLToPath(new URL('./', import.meta.url));

/** A report on one run, or on two beside one another: one file of HTML, which loads nothing. */
export async function renderReport(results: readonly LoadResult[]): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: FOLDER,
    entryPoints: ['page.ts', 'page.css'],
    outdir: FOLDER,
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'inline',
    logLevel: 'warning',
    write: false,
  });
  const textOf = (end: string): string => outputFiles.find(({ path }) => path.endsWith(end))?.text ?? '';
  const title = results.map(({ scenario, startedAt }) => `${scenario}, ${startedAt}`).join(' and ');
  // What stands in a script element ends with the first thing that looks like its end.
  const data = JSON.stringify(results).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${title.replace(/[<&]/g, '')}</title>
<style>${textOf('.css')}</style>
</head>
<body>
<main id="report"></main>
<script type="application/json" id="data">${data}</script>
<script>${textOf('.js')}</script>
</body>
</html>
`;
}
