// A y-websocket server, and people to write together with through it: to the browsers that `web/e2e/crowd.mjs` measures what
// `sheaf-bench --crowd` is for ours.
//
//     node crowd.mjs PEOPLE
//
// Prints the server's address once everybody is there. The line `type` on standard input begins the typing, the next line ends it;
// the answer is how many keys were hit. With the input's end it ends.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

/** As everyone in the other crowd. */
const BETWEEN_KEYS_MS = 300;

const port = await freePort();
const url = `ws://127.0.0.1:${port}`;
const entry = fileURLToPath(new URL("node_modules/y-websocket/bin/server.cjs", import.meta.url));
const server = spawn(process.execPath, [entry], {
  env: { ...process.env, HOST: "127.0.0.1", PORT: String(port) },
  stdio: ["ignore", "pipe", "inherit"],
});
try {
  await once(server.stdout, "data");
  const crowd = await Promise.all(Array.from({ length: Number(process.argv[2]) }, join));
  console.log(url);
  let typing;
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "type") typing = type(crowd);
    else console.log(typing());
  }
} finally {
  server.kill();
}
process.exit(0);

/** One after the other hits a key; what is returned ends it and says how many were. */
function type(crowd) {
  let keys = 0;
  const next = () => crowd[keys++ % crowd.length].insert(0, "k");
  const timer = crowd.length > 0 ? setInterval(next, BETWEEN_KEYS_MS / crowd.length) : undefined;
  return () => {
    clearInterval(timer);
    return keys;
  };
}

async function join() {
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(url, "crowd", doc, { WebSocketPolyfill: WebSocket, disableBc: true });
  await new Promise((resolve) => provider.on("sync", (is) => is && resolve()));
  return doc.getText("text");
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}
