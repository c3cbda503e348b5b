// Measures the way from a key in one browser to the other's screen while others type too: with the live channel, without it, and
// through a y-websocket server. What is measured is typed, watched and counted by the same code for all of them.
//
//     node e2e/crowd.mjs CROWD [PEOPLE...]     CROWD: the `sheaf-bench` program; PEOPLE: 2, 5 and 20 if not said
//
// Prints [{ people, ...figures, without: figures, y_websocket: figures }] on standard output, where the figures are
// { p50_ms, p95_ms, bytes_per_keystroke, cpu_percent, memory_mb, samples, others_keys }: the others and the servers give way to the
// two browsers, and `others_keys` tells whether they could type nevertheless.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { elsewhere } from "./elsewhere.mjs";
import { scriptServed } from "./script_served.mjs";
import { makeWorld, until } from "./world.mjs";

const KEYSTROKES = 100;
const BETWEEN_MS = 120;
/** Twenty people without the live channel are slow. */
const PATIENCE_MS = 600_000;
const BESIDE = path.resolve(import.meta.dirname, "../../crates/bench/y_websocket");

/** Who else types: a program that is told by lines what to do, and answers by lines. */
class Crowd {
  constructor(program, options) {
    this.child = elsewhere(program, options, { stdio: ["pipe", "pipe", "inherit"] });
    this.answers = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  write(line) {
    this.child.stdin.write(`${line}\n`);
  }

  async answer() {
    const { value, done } = await this.answers.next();
    if (done) throw new Error("the crowd has gone");
    return value;
  }

  async say(line) {
    this.write(line);
    return await this.answer();
  }

  async end() {
    const exited = once(this.child, "exit");
    this.child.stdin.end();
    await exited;
  }
}

const [program, ...sizes] = process.argv.slice(2);
const world = await makeWorld({ measured: true });
try {
  const config = await (await fetch(new URL("config.json", world.demo.app))).json();
  const counts = sizes.length > 0 ? sizes.map(Number) : [2, 5, 20];
  const everyone = [];
  for (let n = 0; n < Math.max(...counts) - 2; n++) everyone.push(await world.account(`crowd${Date.now() % 100_000}x${n}.test`));
  const editor = await scriptServed(path.join(BESIDE, "page.mjs"));
  const figures = [];
  for (const people of counts) {
    const crowd = everyone.slice(0, people - 2);
    const live = await ours(config, crowd);
    const without = await ours({ ...config, relays: [] }, crowd);
    const y_websocket = await yWebsocket(editor, crowd.length);
    figures.push({ people, ...live, without, y_websocket });
    console.error(JSON.stringify(figures.at(-1)));
  }
  console.log(JSON.stringify(figures));
} finally {
  await world.close();
}

/** Of the app itself, with this configuration. */
async function ours(config, handles) {
  const account = (handle) => world.demo.accounts.find((account) => account.handle === handle);
  const crowd = new Crowd(program, ["--crowd"]);
  const scene = { config, owner: account("alice.test"), guest: account("bob.test"), crowd: handles.map(account) };
  const fragment = await crowd.say(JSON.stringify(scene));
  const link = new URL(fragment.startsWith("#") ? fragment : `#${fragment}`, world.demo.app).href;
  const [alice, bob] = await Promise.all(
    ["alice.test", "bob.test"].map(async (handle) => {
      const person = await world.person();
      person.context.setDefaultTimeout(PATIENCE_MS);
      await person.context.route(/\/config\.json$/, (route) => route.fulfill({ json: config }));
      await person.signIn(handle);
      await person.openDocument(link);
      await person.mayWrite();
      return person;
    }),
  );
  const all = new RegExp(`${handles.length + 2} people here${config.relays.length > 0 ? ", live" : ""}`);
  for (const person of [alice, bob]) {
    await until(() => person.status.textContent(), (says) => all.test(says), `a status like ${all}`, PATIENCE_MS);
  }
  return await measure(alice, bob, crowd);
}

/** Of the same editor on a y-websocket server. */
async function yWebsocket(editor, others) {
  const crowd = new Crowd(process.execPath, [path.join(BESIDE, "crowd.mjs"), String(others)]);
  const server = await crowd.answer();
  const [alice, bob] = await Promise.all(
    [1, 2].map(async () => {
      const person = await world.person();
      person.context.setDefaultTimeout(PATIENCE_MS);
      await person.open(`${editor}?${new URLSearchParams({ server })}`);
      await person.text.waitFor();
      return person;
    }),
  );
  return await measure(alice, bob, crowd);
}

/** Alice types x while the others type k, and Bob's screen is watched. Both and the crowd are done with afterwards. */
async function measure(alice, bob, crowd) {
  await bob.page.evaluate(() => {
    const seen = (globalThis.seen = []);
    const content = document.querySelector(".cm-content");
    new MutationObserver(() => {
      const count = content.querySelector(".cm-placeholder") ? 0 : content.textContent.split("x").length - 1;
      requestAnimationFrame(() => {
        while (seen.length < count) seen.push(performance.timeOrigin + performance.now());
      });
    }).observe(content, { childList: true, characterData: true, subtree: true });
  });
  await alice.page.evaluate(() => {
    const typed = (globalThis.typed = []);
    document.querySelector(".cm-content").addEventListener("keydown", ({ key }) => {
      if (key === "x") typed.push(performance.timeOrigin + performance.now());
    }, true);
  });
  const sent = await countSent(alice);
  crowd.write("type");
  await alice.text.focus();
  await alice.page.keyboard.press("Control+End");
  const before = await busy();
  const sentBefore = await sent();
  const began = performance.now();
  for (let n = 0; n < KEYSTROKES; n++) {
    await alice.page.keyboard.press("x");
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, began + (n + 1) * BETWEEN_MS - performance.now())));
  }
  await bob.page.waitForFunction((keys) => globalThis.seen.length >= keys, KEYSTROKES, { timeout: PATIENCE_MS });
  const cpu = ((await busy()) - before) / (performance.now() - began);
  const bytes = (await sent()) - sentBefore;
  const others_keys = Number(await crowd.say("enough"));
  const typed = await alice.page.evaluate(() => globalThis.typed);
  const seen = await bob.page.evaluate(() => globalThis.seen);
  const memory_mb = await memory();
  await Promise.all([alice, bob].map((person) => person.context.close()));
  await crowd.end();
  const times = typed.map((at, n) => seen[n] - at).sort((a, b) => a - b);
  const part = (of) => Math.round(times[Math.floor((times.length - 1) * of)] * 10) / 10;
  return {
    p50_ms: part(0.5),
    p95_ms: part(0.95),
    bytes_per_keystroke: Math.round(bytes / KEYSTROKES),
    // Of the busier of the two tabs' processes, in percent of one processor.
    cpu_percent: Math.round(cpu * 100),
    memory_mb,
    samples: times.length,
    others_keys,
  };
}

/**
 * Counts what somebody's browser sends over WebSockets from now on, in bytes as they are handed over there: to the relay, where
 * everything is encrypted already and stands in packets, and to a y-websocket server. In it are carets, what tells that others'
 * packets have come, and whatever else goes that way while somebody types; what goes to accounts' servers is not.
 */
async function countSent({ page }) {
  const places = [page, ...page.workers()];
  const count = () => {
    globalThis.sentBytes = 0;
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (data) {
      globalThis.sentBytes += data.byteLength ?? data.size ?? new TextEncoder().encode(data).length;
      return send.call(this, data);
    };
  };
  await Promise.all(places.map((place) => place.evaluate(count)));
  return async () => {
    const all = await Promise.all(places.map((place) => place.evaluate(() => globalThis.sentBytes)));
    return all.reduce((sum, bytes) => sum + bytes, 0);
  };
}

async function renderers() {
  const session = await world.browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  return processInfo.filter(({ type }) => type === "renderer");
}

/** How long the busiest page's process has worked, in milliseconds. */
async function busy() {
  return Math.max(...(await renderers()).map(({ cpuTime }) => cpuTime)) * 1_000;
}

/** What the largest page's process takes, in MB. */
async function memory() {
  const sizes = await Promise.all(
    (await renderers()).map(async ({ id }) => /^Pss:\s+(\d+) kB/m.exec(await readFile(`/proc/${id}/smaps_rollup`, "utf8").catch(() => ""))?.[1] ?? 0),
  );
  return Math.round(Math.max(...sizes.map(Number)) / 102.4) / 10;
}
