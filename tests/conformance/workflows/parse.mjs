// Reads workflows with GitHub's own parser, and prints what it would refuse.
//
//   node parse.mjs FOLDER-OF-NODE-MODULES FILE…
//
// The package imports its JSON schemas without the attribute that Node asks for, so a copy of it gets the attribute first.
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, ...files] = process.argv.slice(2);
const source = resolve(modules, "@actions/workflow-parser");
const copy = resolve(modules, "@actions/workflow-parser-with-attributes");
cpSync(source, copy, { recursive: true });
for (const file of ["dist/actions/action-schema.js", "dist/workflows/workflow-schema.js"]) {
  const text = readFileSync(join(copy, file), "utf8");
  const changed = text.replace(/(from "[^"]*\.json");/g, '$1 with { type: "json" };');
  if (changed === text) throw new Error(`${file} imports no JSON any more`);
  writeFileSync(join(copy, file), changed);
}
const { NoOperationTraceWriter, parseWorkflow } = await import(pathToFileURL(join(copy, "dist/index.js")));

let refused = 0;
for (const file of files) {
  const content = readFileSync(file, "utf8");
  const result = parseWorkflow({ name: file, content }, new NoOperationTraceWriter());
  const errors = result.context.errors.getErrors();
  for (const error of errors) console.log(`${file}: ${error}`);
  if (errors.length > 0 || !result.value) refused += 1;
}
console.log(`${files.length} workflows, ${refused} refused`);
process.exit(files.length === 0 || refused > 0 ? 1 : 0);
