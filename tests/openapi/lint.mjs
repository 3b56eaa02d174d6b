// lint.mjs ENGINE FILE: lints an OpenAPI file as redocly.yaml says; 1 when there is an error or a warning. ENGINE is a
// directory with node_modules, which is not beside this file: what is installed stays below build/.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const [engine, file] = process.argv.slice(2);
const { formatProblems, getTotals, lint, loadConfig } = createRequire(`${engine}/`)('@redocly/openapi-core');

const config = await loadConfig({ configPath: fileURLToPath(new URL('redocly.yaml', import.meta.url)) });
const problems = await lint({ ref: file, config });
const totals = getTotals(problems);
formatProblems(problems, { format: 'codeframe', totals, version: '1' });
console.log(`${file}: ${totals.errors} errors, ${totals.warnings} warnings`);
process.exit(totals.errors + totals.warnings > 0 ? 1 : 0);
