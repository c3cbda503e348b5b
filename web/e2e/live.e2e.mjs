// Live: what somebody types is on the other screen at once, before any server has it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { makeWorld, settled, until } from "./world.mjs";

const WRITES = /\/xrpc\/com\.atproto\.repo\.(putRecord|applyWrites)/;

describe("live", () => {
  let world, alice, bob, link;

  before(async () => {
    world = await makeWorld();
    [alice, bob] = await Promise.all([world.signedIn("alice.test"), world.signedIn("bob.test")]);
    link = await alice.newDocument(`Live ${Date.now()}`);
    await alice.share("bob.test");
    await alice.statusSays(/^Published/);
    await bob.openDocument(link);
    await bob.mayWrite();
  });
  after(() => world?.close());

  /** Nobody's server takes anything any more. */
  const serversDown = () => Promise.all([alice, bob].map((person) => person.context.route(WRITES, (route) => route.abort())));
  const serversBack = () => Promise.all([alice, bob].map((person) => person.context.unroute(WRITES)));

  test("two people find each other, and read each other before any server has a word", async () => {
    await alice.statusSays(/2 people here, live/);
    await bob.statusSays(/2 people here, live/);
    await serversDown();
    await alice.typeAtEnd("Hello 👩‍👩‍👧 e\u0301");
    await bob.sees("Hello 👩‍👩‍👧 e\u0301");
    await bob.typeAtEnd(" שלום");
    await alice.sees("Hello 👩‍👩‍👧 e\u0301 שלום");
    await alice.statusSays(/waiting/);
    await serversBack();
    await settled(alice, bob);
  });

  test("who only reads follows too, and is seen to", async () => {
    const carol = await world.person();
    await carol.openDocument(link);
    await alice.statusSays(/1 reading along/);
    await serversDown();
    const before = await alice.wholeText();
    await alice.typeAtEnd(" for all");
    await carol.sees(`${before} for all`);
    await serversBack();
    await settled(alice, bob, carol);
    await carol.context.close();
  });

  test("whoever reads with an account is seen among the people, as the reader they say they are", async () => {
    const carol = await world.signedIn(await world.account(`carol${Date.now() % 1_000_000}.test`));
    await carol.openDocument(link);
    const { did } = world.demo.accounts.at(-1);
    const among = (person) => person.page.getByRole("list", { name: "People here" }).getByRole("listitem");
    const reader = among(alice).filter({ hasText: `${did}, reading (as they say)` });
    await reader.waitFor();
    assert.equal(await reader.getByRole("button").count(), 0, "there is no caret to follow");
    await carol.page.getByRole("link", { name: "Documents" }).click();
    await reader.waitFor({ state: "detached" });
    await carol.context.close();
  });

  test("whoever follows somebody has what they write in sight, until they go their own way", async () => {
    await alice.typeAtEnd("\nline".repeat(80));
    await settled(alice, bob);
    await bob.text.focus();
    await bob.page.keyboard.press("Control+Home");
    const follow = bob.button("Follow alice.test");
    await follow.click();
    await alice.typeAtEnd(" down here");
    await bob.page.locator(".cm-line", { hasText: "down here" }).waitFor();
    const inSight = () =>
      bob.text.evaluate((content) => {
        const line = [...content.querySelectorAll(".cm-line")].find((line) => line.textContent.includes("down here"));
        const { bottom } = content.closest(".cm-scroller").getBoundingClientRect();
        return line !== undefined && line.getBoundingClientRect().bottom <= bottom;
      });
    await until(inSight, (is) => is, "the line that Alice writes in to be in sight");
    assert.equal(await follow.getAttribute("aria-pressed"), "true");
    await bob.text.focus();
    await bob.page.keyboard.press("ArrowUp");
    await until(() => follow.getAttribute("aria-pressed"), (pressed) => pressed === "false", "following to end");
  });

  test("whoever reloads in the middle of it is back at once", async () => {
    await serversDown();
    const before = await alice.wholeText();
    await alice.typeAtEnd(" one");
    await bob.sees(`${before} one`);
    await bob.page.reload();
    await bob.text.waitFor();
    await bob.sees(`${before} one`);
    await alice.typeAtEnd(" two");
    await bob.sees(`${before} one two`);
    await serversBack();
    await settled(alice, bob);
    assert.deepEqual([...alice.complaints, ...bob.complaints], []);
  });
});
