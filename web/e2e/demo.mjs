// The demo: the app, a PDS, a PLC server and Jetstream on free ports.

import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";

const ROOT = path.resolve(import.meta.dirname, "../..");

/** What `cargo xtask demo --json` says, and `stop`. `SHEAF_DEMO` holds what one says that runs already. */
export async function startDemo(begin = spawn) {
  if (process.env.SHEAF_DEMO) return { ...JSON.parse(process.env.SHEAF_DEMO), stop: async () => {} };
  const child = begin("cargo", ["xtask", "demo", "--json", "--no-open", "--port", "0"], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the demo ended (${code}) before it was ready`);
  });
  ended.catch(() => {});
  const [line] = await Promise.race([once(createInterface({ input: child.stdout }), "line"), ended]);
  const stop = async () => {
    if (child.exitCode !== null) return;
    const exited = once(child, "exit");
    // As Ctrl-C does: the whole foreground group.
    process.kill(-child.pid, "SIGINT");
    await exited;
  };
  return { ...JSON.parse(line), stop };
}
