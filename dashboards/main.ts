/** `npm run dashboards`: writes grafana/dashboards anew. A test holds that they are as this makes them. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dashboardFiles, FOLDER } from './dashboards.ts';

const files = dashboardFiles();
mkdirSync(FOLDER, { recursive: true });
for (const name of readdirSync(FOLDER)) if (!files.has(name)) rmSync(new URL(name, FOLDER));
for (const [name, text] of files) writeFileSync(new URL(name, FOLDER), text);
console.log(`${files.size} dashboards written`);
