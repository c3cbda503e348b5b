// Measures the way from a key in one browser to the other's screen: two real browsers, the real servers, one clock.
//
//     node e2e/latency.mjs        prints [{"path", "p50_ms", "p95_ms", "samples"}] on standard output

import { makeWorld, settled } from "./world.mjs";

const KEYSTROKES = 150;
/** Quick typing, and a pause after every sentence; as the native measurement has it. */
const BETWEEN_MS = 120;
const SENTENCE = 24;
const PAUSE_MS = 1_500;

const world = await makeWorld();
try {
  const alice = await world.signedIn("alice.test");
  const link = await alice.newDocument(`Latency ${Date.now()}`);
  await alice.share("bob.test");
  await alice.statusSays(/^Published/);
  const bob = await world.signedIn("bob.test");
  await bob.openDocument(link);
  await bob.mayWrite();
  await settled(alice, bob);

  // Key n makes the text n long, so the length of what Bob's page shows says which keys have arrived. What the document
  // shows counts from the frame in which it is drawn.
  await bob.page.evaluate(() => {
    const seen = (globalThis.seen = []);
    const content = document.querySelector(".cm-content");
    const placeholder = () => content.querySelector(".cm-placeholder") !== null;
    new MutationObserver(() => {
      const length = placeholder() ? 0 : content.textContent.length;
      requestAnimationFrame(() => {
        while (seen.length < length) seen.push(performance.timeOrigin + performance.now());
      });
    }).observe(content, { childList: true, characterData: true, subtree: true });
  });
  await alice.page.evaluate(() => {
    const typed = (globalThis.typed = []);
    document.querySelector(".cm-content").addEventListener("keydown", () => typed.push(performance.timeOrigin + performance.now()), true);
  });
  await alice.text.focus();
  for (let n = 0; n < KEYSTROKES; n++) {
    await alice.page.keyboard.press("x");
    await new Promise((resolve) => setTimeout(resolve, n % SENTENCE === SENTENCE - 1 ? PAUSE_MS : BETWEEN_MS));
  }
  await settled(alice, bob);
  await bob.page.waitForFunction((all) => globalThis.seen.length >= all, KEYSTROKES);
  const typed = await alice.page.evaluate(() => globalThis.typed);
  const seen = await bob.page.evaluate(() => globalThis.seen);
  const times = typed.map((at, n) => seen[n] - at).sort((a, b) => a - b);
  const part = (of) => Math.round(times[Math.floor((times.length - 1) * of)] * 10) / 10;
  const path = world.demo.jetstream ? "browser-jetstream" : "browser-firehose";
  console.log(JSON.stringify([{ path, p50_ms: part(0.5), p95_ms: part(0.95), samples: times.length }]));
} finally {
  await world.close();
}
