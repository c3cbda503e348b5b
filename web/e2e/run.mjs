// Runs the browser tests, all of them or the files named, on one demo.
//
//     node e2e/run.mjs [FILE...] [--test-name-pattern=...]

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import path from "node:path";
import { startDemo } from "./demo.mjs";

const chosen = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
const options = process.argv.slice(2).filter((argument) => argument.startsWith("-"));
const all = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith(".e2e.mjs"))
  .map((name) => path.join(import.meta.dirname, name));

const { stop, ...demo } = await startDemo();
try {
  const files = chosen.length > 0 ? chosen : all;
  const tests = spawn(process.execPath, ["--test", "--test-concurrency=1", ...options, ...files], {
    stdio: "inherit",
    env: { ...process.env, SHEAF_DEMO: JSON.stringify(demo) },
  });
  const [code] = await once(tests, "exit");
  process.exitCode = code ?? 1;
} finally {
  await stop();
}
