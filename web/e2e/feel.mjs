// Measures how it feels at a keyboard, in a real browser: from a key to the screen in a long document that somebody else writes in,
// how long such a document takes to open, and how far two tabs are apart.
//
//     node e2e/feel.mjs COMPANION KEY...      COMPANION: the `sheaf-bench` program; KEY: keypress_to_paint, warm_open, tabs
//
// Prints an object with those keys on standard output.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { elsewhere } from "./elsewhere.mjs";
import { scriptServed } from "./script_served.mjs";
import { makeWorld, until } from "./world.mjs";

const KEYSTROKES = 300;
const BETWEEN_MS = 90;
const OPENINGS = 7;
const LONG_MS = 300_000;

const [companion, ...keys] = process.argv.slice(2);
const figures = {};
const world = await makeWorld({ measured: true });
try {
  if (keys.includes("tabs")) figures.tabs = await tabs();
  if (keys.includes("keypress_to_paint") || keys.includes("warm_open")) await aPaper();
  console.log(JSON.stringify(figures));
} finally {
  await world.close();
}

/** From a key in one tab to the other's screen, with no network: `keys` and `seen` are when each was. */
async function tabs() {
  const alice = await world.signedIn("alice.test");
  const link = await alice.newDocument(`Tabs ${Date.now()}`);
  await alice.statusSays(/^Published/);
  const other = await alice.secondTab(link);
  await other.mayWrite();
  await alice.context.setOffline(true);
  // What is in another tab is drawn only where that tab is seen. Both are: each in a window of its own.
  await other.page.evaluate(() => {
    const seen = (globalThis.seen = []);
    const content = document.querySelector(".cm-content");
    new MutationObserver(() => {
      const { length } = content.querySelector(".cm-placeholder") ? "" : content.textContent;
      const now = performance.timeOrigin + performance.now();
      while (seen.length < length) seen.push(now);
    }).observe(content, { childList: true, characterData: true, subtree: true });
  });
  await watchKeys(alice);
  await typeAway(alice, KEYSTROKES);
  await other.page.waitForFunction((all) => globalThis.seen.length >= all, KEYSTROKES);
  const typed = await alice.page.evaluate(() => globalThis.typed);
  const seen = await other.page.evaluate(() => globalThis.seen);
  await alice.context.close();
  return { ...percentiles(typed.map((at, n) => seen[n] - at)), samples: typed.length };
}

async function aPaper() {
  const [owner, editor] = ["alice.test", "bob.test"].map((handle) => world.demo.accounts.find((account) => account.handle === handle));
  const config = await (await fetch(new URL("config.json", world.demo.app))).json();
  const child = elsewhere(companion, ["--companion"], { stdio: ["pipe", "pipe", "inherit"] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const say = async (line) => {
    child.stdin.write(`${line}\n`);
    const { value, done } = await answers.next();
    if (done) throw new Error("the companion has ended");
    return value;
  };
  try {
    const fragment = await say(JSON.stringify({ config, owner, editor }));
    const link = new URL(fragment.startsWith("#") ? fragment : `#${fragment}`, world.demo.app).href;
    const alice = await world.signedIn("alice.test");
    alice.context.setDefaultTimeout(LONG_MS);
    await alice.openDocument(link);
    await alice.mayWrite();
    const whole = () => alice.wholeText().then((text) => text.length);
    await until(whole, (length) => length > 100_000, "the whole paper", LONG_MS);
    await alice.statusSays(/^Published/);

    if (keys.includes("warm_open")) figures.warm_open = await warmOpen(alice, link);
    if (keys.includes("keypress_to_paint")) {
      await alice.openDocument(link);
      await alice.mayWrite();
      child.stdin.write("type\n");
      const before = await whole();
      await until(whole, (length) => length > before + 20, "what the other one types", LONG_MS);
      const paint = await keypressToPaint(alice);
      const remote = Number(await say("enough"));
      const memory_mb = await memory();
      const bare = await bareEditor(await alice.wholeText());
      figures.keypress_to_paint = { ...paint, remote_keys: remote, memory_mb, bare_editor: bare };
    }
  } finally {
    child.stdin.end();
    await once(child, "exit");
  }
}

/** From a key's event to the end of the frame that shows it; and how much of that was work, not waiting for the frame. */
async function keypressToPaint(alice) {
  await watchKeys(alice, { toPaint: true });
  await typeAway(alice, KEYSTROKES);
  await alice.page.waitForFunction((all) => globalThis.painted.length >= all, KEYSTROKES);
  const { painted, worked } = await alice.page.evaluate(() => ({ painted: globalThis.painted, worked: globalThis.worked }));
  const work = percentiles(worked);
  return { ...percentiles(painted), work_p50_ms: work.p50_ms, work_p95_ms: work.p95_ms, samples: painted.length };
}

/** The same in the editor alone, with the same text and nobody else who writes. */
async function bareEditor(text) {
  const person = await world.person();
  await person.open(await scriptServed(path.join(import.meta.dirname, "bare_editor.mjs")));
  await person.page.evaluate((text) => globalThis.show(text), text);
  const paint = await keypressToPaint(person);
  await person.context.close();
  return paint;
}

/** From a click in the list of documents, and from loading the page, to the text on the screen. */
async function warmOpen(alice, link) {
  const { page } = alice;
  const title = "A paper";
  const [clicked, loaded] = [[], []];
  for (let n = 0; n < OPENINGS; n++) {
    await page.goto("about:blank");
    await page.goto(`${world.demo.app}#/`);
    const entry = page.getByRole("link", { name: title }).first();
    await entry.waitFor();
    clicked.push(
      await entry.evaluate(
        (link) =>
          new Promise((resolve) => {
            const began = performance.now();
            const look = () => {
              if ((document.querySelector(".cm-content")?.textContent.length ?? 0) < 500) requestAnimationFrame(look);
              else resolve(performance.now() - began);
            };
            link.click();
            look();
          }),
      ),
    );
    await page.goto("about:blank");
    await page.goto(link, { waitUntil: "commit" });
    loaded.push(
      await page.evaluate(
        () =>
          new Promise((resolve) => {
            const look = () => {
              if ((document.querySelector(".cm-content")?.textContent.length ?? 0) < 500) requestAnimationFrame(look);
              else resolve(performance.now());
            };
            look();
          }),
      ),
    );
    await alice.statusSays(/^Published/);
  }
  return { ms: percentiles(clicked).p50_ms, from_page_load_ms: percentiles(loaded).p50_ms, samples: clicked.length };
}

async function watchKeys(person, { toPaint = false } = {}) {
  await person.text.evaluate((content, toPaint) => {
    const [typed, painted, worked] = [(globalThis.typed = []), (globalThis.painted = []), (globalThis.worked = [])];
    content.addEventListener(
      "keydown",
      ({ timeStamp }) => {
        typed.push(performance.timeOrigin + timeStamp);
        if (!toPaint) return;
        const begun = performance.now();
        // After this event's own work, and then once the frame has been drawn.
        const { port1, port2 } = new MessageChannel();
        let handled = 0;
        setTimeout(() => (handled = performance.now() - begun), 0);
        requestAnimationFrame(() => {
          const frame = performance.now();
          port1.onmessage = () => {
            painted.push(performance.now() - timeStamp);
            worked.push(handled + performance.now() - frame);
          };
          port2.postMessage(0);
        });
      },
      true,
    );
  }, toPaint);
}

async function typeAway(person, count) {
  await person.text.focus();
  const { keyboard } = person.page;
  await keyboard.press("Control+Home");
  for (let n = 0; n < 20; n++) await keyboard.press("ArrowDown");
  await person.page.evaluate(() => {
    for (const list of [globalThis.typed, globalThis.painted, globalThis.worked]) list?.splice(0);
  });
  const began = performance.now();
  for (let n = 0; n < count; n++) {
    await keyboard.press("x");
    // As a typist does, whatever the machine takes.
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, began + (n + 1) * BETWEEN_MS - performance.now())));
  }
}

/** What the largest of the browser's page processes takes of the machine's memory, in MB. */
async function memory() {
  const session = await world.browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const sizes = await Promise.all(
    processInfo
      .filter(({ type }) => type === "renderer")
      .map(async ({ id }) => /^Pss:\s+(\d+) kB/m.exec(await readFile(`/proc/${id}/smaps_rollup`, "utf8").catch(() => ""))?.[1] ?? 0),
  );
  return Math.round(Math.max(...sizes.map(Number)) / 102.4) / 10;
}

function percentiles(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const part = (of) => Math.round(sorted[Math.floor((sorted.length - 1) * of)] * 10) / 10;
  return { p50_ms: part(0.5), p95_ms: part(0.95) };
}
