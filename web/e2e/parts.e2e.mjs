// The engine comes in two parts. The second may be late: whatever calls for it waits, and nothing is lost.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { Host } from "./host.mjs";
import { makeWorld, settled, until } from "./world.mjs";

let world, host, first, second;

before(async () => {
  world = await makeWorld();
  host = await Host.start(world.demo);
  const assets = await readdir(new URL("../dist/assets/", import.meta.url));
  [first, second] = ["sheaf_web_bg", "sheaf_web_second"].map((part) => `assets/${assets.find((name) => name.startsWith(part))}`);
});
after(async () => {
  await host?.stop();
  await world?.close();
});

test("a second part that is late holds nothing up for good", async () => {
  const alice = await world.signedIn("alice.test");
  const link = await alice.newDocument(`In two parts ${Date.now()}`);
  await alice.typeAtEnd("By Alice.\n");
  await alice.share("bob.test");
  await alice.statusSays(/^Published/);

  const bob = await world.signedIn("bob.test", { app: host.app });
  host.asked = [];
  const release = host.hold(second);
  await bob.page.goto("about:blank");
  await bob.page.goto(new URL(new URL(link).hash, host.app).href);
  await until(() => host.asked.includes(second), Boolean, "the second part to be asked for");
  release();
  await bob.mayWrite();
  await bob.typeAtEnd("By Bob, 👩‍🌾.");
  await settled(alice, bob);
  await alice.sees("By Alice.\nBy Bob, 👩‍🌾.");

  // History is no part of what a page begins with.
  await bob.button("History").click();
  await bob.page.getByRole("dialog", { name: "History" }).getByText("bob.test").first().waitFor();
  assert.deepEqual(bob.complaints, []);
});

// Should it fail after a change of the engine, the profile is out of date: `cargo xtask first-part` records it anew. Which functions run
// depends a little on what comes first, and one that the profile has come later has a page wait: so some may, but not all.
test("a document is shown, and an editor writes in it, before the second part is there", async () => {
  const alice = await world.signedIn("alice.test");
  const link = await alice.newDocument(`First of all ${Date.now()}`);
  await alice.typeAtEnd("By Alice.\n");
  await alice.share("bob.test");
  await alice.statusSays(/^Published/);
  const here = new URL(new URL(link).hash, host.app).href;

  const stranger = await oneOfAFew(
    () => world.person({ app: host.app }),
    async (stranger) => {
      await stranger.openDocument(here);
      await stranger.sees("By Alice.\n");
    },
  );
  let typed;
  // To sign in takes the second part.
  const bob = await oneOfAFew(
    () => world.signedIn("bob.test", { app: host.app }),
    async (bob, nth) => {
      await bob.openDocument(here);
      await bob.sees(/By Alice/);
      await bob.mayWrite();
      // What another typed in vain may come, too.
      typed = new RegExp(`By Bob, 👩‍🌾, ${nth}\\.$`);
      await bob.typeAtEnd(`By Bob, 👩‍🌾, ${nth}.`);
      await bob.sees(typed);
    },
  );
  await alice.sees(typed);
  assert.deepEqual([...stranger.complaints, ...bob.complaints], []);
});

const A_FEW = 3;

/** The first who fares well while the second part is withheld. */
async function oneOfAFew(come, fares) {
  for (let nth = 1; ; nth += 1) {
    const person = await come();
    host.asked = [];
    const release = host.hold(second);
    const callers = await callersOfTheSecondPart(person);
    try {
      await fares(person, nth);
      await until(() => host.asked.includes(second), Boolean, "the second part to be asked for");
      return person;
    } catch (trouble) {
      const why = `the second part was called for by ${callers.join(" < ") || "nobody"}: ${trouble.message}`;
      if (nth === A_FEW) throw new Error(why, { cause: trouble });
      console.log(`# ${nth} of ${A_FEW}: ${why}`);
    } finally {
      release();
    }
  }
}

/** The functions of the first part that had to wait for the second, once there are any in the next page: the one, what called it, … */
async function callersOfTheSecondPart({ page }) {
  const names = JSON.parse(await readFile(new URL("../src/wasm/names.json", import.meta.url), "utf8"));
  const callers = [];
  page.on("console", (message) => {
    if (!message.text().startsWith(CALLED)) return;
    for (const [, index] of message.text().matchAll(/wasm-function\[(\d+)\]/g)) callers.push(names[index] ?? index);
  });
  // The engine does not begin before its worker is looked at.
  const release = host.hold(first);
  page.once("worker", (worker) => void worker.evaluate(tellWhoCalls, CALLED).finally(release));
  return callers;
}

const CALLED = "the second part is called for: ";

/** In the engine's worker, which can tell nothing any more once it waits. */
function tellWhoCalls(called) {
  let load;
  Error.stackTraceLimit = 50;
  Object.defineProperty(globalThis, "loadSecondPart", {
    set: (given) => (load = given),
    get: () => () => {
      console.log(called + new Error().stack);
      load();
    },
  });
}

test("a second part that cannot be had is said, and what is on the screen stays", async () => {
  const person = await world.signedIn("alice.test", { app: host.app });
  const there = host.changed;
  host.changed = new Map([...there, [second, "no WebAssembly"]]);
  await person.page.goto("about:blank");
  await person.page.goto(`${host.app}#/`);
  await person.button("New document").click();
  await person.page.getByRole("alert").getByText(/stopped/).waitFor();

  host.changed = there;
  await person.page.reload();
  await person.page.getByRole("heading", { name: "Documents" }).waitFor();
  await person.newDocument("Here again");
  await person.statusSays(/^Published/);
});
