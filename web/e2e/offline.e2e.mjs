// Without any network: the app opens cold, and everything goes on that does not need others. And how a newer one comes.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { Host } from "./host.mjs";
import { Person, makeWorld } from "./world.mjs";

describe("without any network", () => {
  let world, host;
  const title = () => `Offline ${Date.now()}`;

  before(async () => {
    world = await makeWorld();
    host = await Host.start(world.demo);
  });
  after(async () => {
    await world?.close();
    await host?.stop();
  });

  /** Somebody whose browser keeps the app, which comes from a host of this test's own. */
  async function visitor(handle) {
    const person = await world.person({ serviceWorkers: "allow", acceptDownloads: true, app: host.app });
    await person.signIn(handle);
    await kept(person);
    return person;
  }

  /** Once the app is on this device, and answers for this page. */
  const kept = ({ page }) =>
    page.evaluate(async () => {
      await navigator.serviceWorker.ready;
      if (!navigator.serviceWorker.controller) {
        await new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
      }
    });

  /** The same browser, in a new tab, with nothing left of the old ones. */
  async function coldTab(person, url) {
    const fresh = new Person(person.context, await person.context.newPage(), person.demo);
    await person.page.close();
    await fresh.page.goto(url);
    return fresh;
  }

  async function away({ context }) {
    await host.stop();
    await context.route((url) => url.href.startsWith("http"), (route) => (route.request().url().startsWith(host.app) ? route.fallback() : route.abort()));
    await context.setOffline(true);
  }

  async function back({ context }) {
    await host.goOn();
    await context.unrouteAll({ behavior: "ignoreErrors" });
    await context.setOffline(false);
  }

  async function exported(person) {
    await person.button("Share").click();
    const [download] = await Promise.all([person.page.waitForEvent("download"), person.button("Download as Markdown").click()]);
    await person.page.keyboard.press("Escape");
    return { name: download.suggestedFilename(), text: await readFile(await download.path(), "utf8") };
  }

  const builds = ({ page }) => page.evaluate(async () => (await caches.keys()).filter((name) => name.startsWith("sheaf app ")));

  test("the app opens cold, lists, opens, edits, undoes and exports, and makes documents that are shared when it is back", async () => {
    let alice = await visitor("alice.test");
    const name = title();
    const link = await alice.newDocument(name);
    await alice.typeAtEnd("Online 👩‍👩‍👧 é.");
    await alice.statusSays(/^Published/);
    await alice.page.getByRole("link", { name: "Documents" }).click();
    await alice.page.getByRole("link", { name }).waitFor();
    await away(alice);

    alice = await coldTab(alice, host.app);
    await alice.page.getByRole("link", { name }).click();
    await alice.sees("Online 👩‍👩‍👧 é.");
    assert.equal(alice.page.url(), link);
    await alice.mayWrite();
    await alice.typeAtEnd(" Not this.");
    await alice.sees("Online 👩‍👩‍👧 é. Not this.");
    await alice.page.keyboard.press("Control+z");
    await alice.sees("Online 👩‍👩‍👧 é.");
    await alice.typeAtEnd("\nOffline.");
    await alice.statusSays(/^Offline: \d+ changes? waiting/);
    const before = await alice.wholeText();
    assert.equal(before, "Online 👩‍👩‍👧 é.\nOffline.");
    assert.deepEqual(await exported(alice), { name: `${name}.md`, text: before });

    await alice.page.getByRole("link", { name: "Documents" }).click();
    await alice.button("New document").click();
    await alice.title.fill(`${name} (new)`);
    await alice.typeAtEnd("Made on a train.");
    await alice.statusSays(/^Offline: \d+ changes? waiting/);
    const made = alice.page.url();
    await alice.page.reload();
    await alice.sees("Made on a train.");
    assert.equal(await alice.title.inputValue(), `${name} (new)`);

    await back(alice);
    await alice.statusSays(/^Published/);
    await alice.openDocument(link);
    await alice.statusSays(/^Published/);
    const reader = await world.person();
    for (const [at, text] of [
      [made, "Made on a train."],
      [link, before],
    ]) {
      await reader.openDocument(at.replace(host.app, world.demo.app));
      await reader.sees(text);
    }
    assert.deepEqual(alice.complaints, []);
    await reader.context.close();
    await alice.context.close();
  });

  test("with the app's host, Jetstream and the directory gone, and the accounts' servers there: opens, edits and syncs", async () => {
    const config = host.changed.get("config.json");
    host.changed.set("config.json", JSON.stringify({ ...JSON.parse(config), jetstream: ["ws://localhost:1"] }));
    let alice = await visitor("alice.test");
    const link = await alice.newDocument(title());
    await alice.share("bob.test");
    await alice.typeAtEnd("Before. ");
    await alice.statusSays(/^Published/);
    await host.stop();
    await alice.context.route(
      (url) => url.href.startsWith("http"),
      (route) => ([host.app, world.demo.pds].some((there) => route.request().url().startsWith(there)) ? route.fallback() : route.abort()),
    );

    alice = await coldTab(alice, link);
    await alice.sees("Before. ");
    await alice.mayWrite();
    await alice.typeAtEnd("From nowhere. ");
    const bob = await world.signedIn("bob.test");
    await bob.openDocument(link.replace(host.app, world.demo.app));
    await bob.sees("Before. From nowhere. ");
    await bob.mayWrite();
    await bob.typeAtEnd("And back.");
    await alice.sees("Before. From nowhere. And back.");
    await alice.statusSays(/^Published/);
    host.changed.set("config.json", config);
    await host.goOn();
    await bob.context.close();
    await alice.context.close();
  });

  test("what the host says of itself is never kept, nor what is not the app's", async () => {
    const alice = await visitor("alice.test");
    const answers = (path) => alice.page.evaluate(async (path) => (await fetch(path)).text(), path);
    for (const path of ["config.json", "client-metadata.json", "somebody-elses.html"]) {
      for (const content of ['{"n":1}', '{"n":2}']) {
        const before = host.changed.get(path);
        host.changed.set(path, content);
        assert.equal(await answers(path), content, path);
        if (before === undefined) host.changed.delete(path);
        else host.changed.set(path, before);
      }
    }
    host.changed.set("elsewhere.html", "<title>Elsewhere</title>");
    await alice.page.goto(`${host.app}elsewhere.html`);
    assert.equal(await alice.page.title(), "Elsewhere", "another page of the host is not taken for the app");
    const addresses = await alice.page.evaluate(async () => {
      const caches_ = await Promise.all((await caches.keys()).map((name) => caches.open(name)));
      return (await Promise.all(caches_.map((cache) => cache.keys()))).flat().map((request) => new URL(request.url).pathname);
    });
    assert.ok(addresses.some((path) => path.endsWith(".wasm")) && addresses.includes("/"), `${addresses}`);
    assert.deepEqual(addresses.filter((path) => !path.startsWith("/assets/")).sort(), [
      "/",
      "/icon-192.png",
      "/icon-512.png",
      "/icon-maskable-512.png",
      "/icon.svg",
      "/manifest.webmanifest",
    ]);
    await alice.context.close();
  });

  test("a page that is kept asks the host for its configuration and for nothing else, and can sign in", async () => {
    const bob = await world.person({ serviceWorkers: "allow", app: host.app });
    await bob.open();
    await kept(bob);
    host.asked = [];
    await bob.signIn("bob.test");
    await bob.newDocument(title());
    await bob.typeAtEnd("Kept.");
    await bob.statusSays(/^Published/);
    assert.deepEqual([...new Set(host.asked)].filter((path) => path !== "sw.js"), ["config.json"]);
    assert.deepEqual(bob.complaints, []);
    await bob.context.close();
  });

  test("a newer Sheaf is offered, not forced, and taking it loses nothing in any tab", async () => {
    const alice = await visitor("alice.test");
    const link = await alice.newDocument(title());
    await alice.typeAtEnd("Written before.");
    const other = await alice.secondTab(link);
    const build = ({ page }) => page.evaluate(() => document.documentElement.dataset.build ?? "");
    const [first] = await builds(alice);
    await host.update("newer");
    await alice.page.evaluate(async () => void (await (await navigator.serviceWorker.getRegistration()).update()));
    const offer = ({ page }) => page.getByRole("complementary", { name: "A newer Sheaf" });
    for (const tab of [alice, other]) await offer(tab).getByText("A newer Sheaf is ready.").waitFor();

    // Nothing has changed so far, not even for a page that begins now.
    await alice.typeAtEnd(" While it waits.");
    await other.page.reload();
    assert.equal(await build(other), "");
    await offer(other).getByText("A newer Sheaf is ready.").waitFor();
    await other.sees("Written before. While it waits.");
    await other.button("Later").click();
    assert.equal(await other.button("Later").count(), 0);
    await other.typeAtEnd(" In the other tab.");

    const begun = Promise.all([alice, other].map(({ page }) => page.waitForEvent("load")));
    await alice.typeAtEnd(" At the last moment.");
    await alice.button("Reload to use it").click();
    await begun;
    for (const tab of [alice, other]) {
      await tab.sees(/^(?=.* In the other tab\.)(?=.* At the last moment\.)Written before\. While it waits\./);
      assert.equal(await build(tab), "newer");
      assert.equal(await offer(tab).getByText("ready").count(), 0);
    }
    const [second, ...more] = await builds(alice);
    assert.ok(second.endsWith(" newer") && second !== first, second);
    assert.deepEqual(more, [], "nothing is left of the older one");
    await alice.statusSays(/^Published/);
    assert.deepEqual([...alice.complaints, ...other.complaints], []);
    await alice.context.close();
  });

  test("a build that does not arrive whole changes nothing", async () => {
    const alice = await visitor("alice.test");
    const before = await builds(alice);
    await host.update("broken");
    // The host is in the middle of being changed: the page is still another.
    host.changed.set("index.html", "<!doctype html><title>Half</title>");
    const refused = await alice.page.evaluate(async () => {
      const registration = await navigator.serviceWorker.getRegistration();
      const found = new Promise((resolve) => registration.addEventListener("updatefound", () => resolve(registration.installing), { once: true }));
      await registration.update().catch(() => {});
      const worker = await found;
      if (worker.state === "redundant") return worker.state;
      return new Promise((resolve) => worker.addEventListener("statechange", () => resolve(worker.state), { once: true }));
    });
    assert.equal(refused, "redundant");
    await alice.page.reload();
    await alice.button("New document").waitFor();
    assert.equal(await alice.button("Reload to use it").count(), 0);
    const whole = await alice.page.evaluate(async ([name]) => (await (await caches.open(name)).keys()).length, before);
    assert.ok(whole > 5);
    await alice.context.close();
  });
});
