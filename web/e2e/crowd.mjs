// Measures the way from a key in one browser to the other's screen while others type too, with the live channel and without it.
//
//     node e2e/crowd.mjs CROWD      CROWD: the `sheaf-bench` program
//
// Prints [{ people, p50_ms, p95_ms, cpu_percent, memory_mb, samples, without: { p50_ms, p95_ms }, y_websocket: { p50_ms, p95_ms } }] on
// standard output. What stands beside it is measured without a browser: see `crates/bench/y_websocket`.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { makeWorld, until } from "./world.mjs";

const KEYSTROKES = 100;
const BETWEEN_MS = 120;
const PATIENCE_MS = 120_000;
const BESIDE = path.resolve(import.meta.dirname, "../../crates/bench/y_websocket/measure.mjs");

const [program] = process.argv.slice(2);
const world = await makeWorld();
try {
  const config = await (await fetch(new URL("config.json", world.demo.app))).json();
  const everyone = [];
  for (let n = 0; n < 18; n++) everyone.push(await world.account(`crowd${Date.now() % 100_000}x${n}.test`));
  const figures = [];
  for (const people of [2, 5, 20]) {
    const crowd = everyone.slice(0, people - 2);
    const live = await measure(config, crowd);
    const { p50_ms, p95_ms } = await measure({ ...config, relays: [] }, crowd);
    const beside = JSON.parse(execFileSync(process.execPath, [BESIDE, String(people)], { encoding: "utf8" }));
    const y_websocket = { p50_ms: beside.p50_ms, p95_ms: beside.p95_ms };
    figures.push({ people, ...live, without: { p50_ms, p95_ms }, y_websocket });
  }
  console.log(JSON.stringify(figures));
} finally {
  await world.close();
}

async function measure(config, handles) {
  const account = (handle) => world.demo.accounts.find((account) => account.handle === handle);
  const child = spawn(program, ["--crowd"], { stdio: ["pipe", "pipe", "inherit"] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const say = async (line) => {
    child.stdin.write(`${line}\n`);
    const { value, done } = await answers.next();
    if (done) throw new Error("the crowd has gone");
    return value;
  };
  const scene = { config, owner: account("alice.test"), guest: account("bob.test"), crowd: handles.map(account) };
  const fragment = await say(JSON.stringify(scene));
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

  // Alice alone types x, and the others k.
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
  child.stdin.write("type\n");
  await alice.text.focus();
  await alice.page.keyboard.press("Control+End");
  const before = await busy();
  const began = performance.now();
  for (let n = 0; n < KEYSTROKES; n++) {
    await alice.page.keyboard.press("x");
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, began + (n + 1) * BETWEEN_MS - performance.now())));
  }
  await bob.page.waitForFunction((keys) => globalThis.seen.length >= keys, KEYSTROKES, { timeout: PATIENCE_MS });
  const cpu = ((await busy()) - before) / (performance.now() - began);
  await say("enough");
  const typed = await alice.page.evaluate(() => globalThis.typed);
  const seen = await bob.page.evaluate(() => globalThis.seen);
  const memory_mb = await memory();
  await Promise.all([alice, bob].map((person) => person.context.close()));
  child.stdin.end();
  await once(child, "exit");
  const times = typed.map((at, n) => seen[n] - at).sort((a, b) => a - b);
  const part = (of) => Math.round(times[Math.floor((times.length - 1) * of)] * 10) / 10;
  // Of the busier of the two tabs' processes, in percent of one processor.
  return { p50_ms: part(0.5), p95_ms: part(0.95), cpu_percent: Math.round(cpu * 100), memory_mb, samples: times.length };
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
