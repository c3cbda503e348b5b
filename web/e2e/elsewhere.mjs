// Programs that stand for other people's machines and servers. Those have processors of their own: here, where they share them with the
// browsers that something is measured in, they give way.

import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";

const GIVES_WAY = "10";

/** Starts one, in a session of its own. */
export function elsewhere(program, args, options) {
  const child = spawn("nice", ["-n", GIVES_WAY, program, ...args], { ...options, detached: true });
  // Linux may share the processors out among sessions before it asks who is how nice; where it does not there is no such file.
  writeFile(`/proc/${child.pid}/autogroup`, GIVES_WAY).catch(() => {});
  return child;
}
