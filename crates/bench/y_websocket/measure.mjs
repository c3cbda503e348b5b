// Measures the way from a key to another person's document through a y-websocket server, by the same typing as `web/e2e/crowd.mjs`.
//
//     node measure.mjs PEOPLE     prints { p50_ms, p95_ms, samples }
//
// There is no browser in it: nothing is drawn, and nobody's words are signed, stored or verified. It is what a server costs at least.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

const KEYSTROKES = 100;
const BETWEEN_MS = 120;
const OTHERS_MS = 300;

const people = Number(process.argv[2] ?? 2);
const port = await freePort();
const entry = fileURLToPath(new URL("node_modules/y-websocket/bin/server.cjs", import.meta.url));
const server = spawn(process.execPath, [entry], {
  env: { ...process.env, HOST: "127.0.0.1", PORT: String(port) },
  stdio: ["ignore", "pipe", "inherit"],
});
try {
  await once(server.stdout, "data");
  const everyone = await Promise.all(Array.from({ length: people }, () => join()));
  const [alice, bob, ...crowd] = everyone;
  const [typed, seen] = [[], []];
  bob.text.observe(() => {
    const count = bob.text.toString().split("x").length - 1;
    while (seen.length < count) seen.push(performance.now());
  });
  const typing = crowd.map(({ text }, n) => {
    let timer = setTimeout(function key() {
      text.insert(0, "k");
      timer = setTimeout(key, OTHERS_MS);
    }, (OTHERS_MS * n) / crowd.length);
    return () => clearTimeout(timer);
  });
  const began = performance.now();
  for (let n = 0; n < KEYSTROKES; n++) {
    typed.push(performance.now());
    alice.text.insert(alice.text.length, "x");
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, began + (n + 1) * BETWEEN_MS - performance.now())));
  }
  while (seen.length < KEYSTROKES) await new Promise((resolve) => setTimeout(resolve, 5));
  for (const stop of typing) stop();
  for (const { provider } of everyone) provider.destroy();
  const times = typed.map((at, n) => seen[n] - at).sort((a, b) => a - b);
  const part = (of) => Math.round(times[Math.floor((times.length - 1) * of)] * 10) / 10;
  console.log(JSON.stringify({ p50_ms: part(0.5), p95_ms: part(0.95), samples: times.length }));
} finally {
  server.kill();
}
process.exit(0);

async function join() {
  const doc = new Y.Doc();
  const options = { WebSocketPolyfill: WebSocket, disableBc: true };
  const provider = new WebsocketProvider(`ws://127.0.0.1:${port}`, "crowd", doc, options);
  await new Promise((resolve) => provider.on("sync", (is) => is && resolve()));
  return { provider, text: doc.getText("text") };
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}
