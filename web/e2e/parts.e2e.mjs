// The engine comes in two parts. The second may be late: whatever calls for it waits, and nothing is lost.

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { Host } from "./host.mjs";
import { makeWorld, settled, until } from "./world.mjs";

let world, host, second;

before(async () => {
  world = await makeWorld();
  host = await Host.start(world.demo);
  const assets = await readdir(new URL("../dist/assets/", import.meta.url));
  second = `assets/${assets.find((name) => name.startsWith("sheaf_web_second"))}`;
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

// Should it fail after a change of the engine, the profile of the first part is out of date: `cargo xtask first-part` records it anew.
// Which functions run depends a little on what comes first, and one that the profile lacks has a page wait: so some may, but not all.
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
    try {
      await fares(person, nth);
      await until(() => host.asked.includes(second), Boolean, "the second part to be asked for");
      return person;
    } catch (trouble) {
      if (nth === A_FEW) throw trouble;
      console.log(`# ${nth} of ${A_FEW} waited for the second part: ${trouble.message}`);
    } finally {
      release();
    }
  }
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
