// Who wrote what and when, the text of any moment, and the way back to it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { makeWorld, settled, until } from "./world.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

describe("history", () => {
  let world, alice, bob, link;
  const first = "The rye is in. 🌾 ";
  const whole = "The oats, and the rye, are in. 🌾 ";

  before(async () => {
    world = await makeWorld();
    alice = await world.signedIn("alice.test");
    bob = await world.signedIn("bob.test");
    link = await alice.newDocument(`History ${Date.now()}`);
    await alice.share("bob.test");
    await alice.typeAtEnd(first);
    await alice.statusSays(/^Published/);
    await bob.openDocument(link);
    await bob.mayWrite();
    await bob.sees(first);
    await bob.change([
      { from: 4, insert: "oats, and the " },
      { from: 21, insert: "," },
      { from: 23, to: 25, insert: "are" },
    ]);
    await bob.sees(whole);
    await bob.statusSays(/^Published/);
    await alice.sees(whole);
  });
  after(() => world?.close());

  const dialogOf = (person) => person.page.getByRole("dialog", { name: "History" });
  const textOf = (person) => dialogOf(person).getByRole("region", { name: "Text", exact: true });
  const turnsOf = (person) => dialogOf(person).getByRole("navigation").getByRole("button");

  async function lookBack(person) {
    await person.button("History").click();
    await turnsOf(person).first().waitFor();
    await textOf(person).locator("ins, del").first().waitFor();
  }

  async function reads(person, expected) {
    await until(() => textOf(person).textContent(), (text) => text === expected, `the earlier text ${expected}`);
  }

  test("somebody who only reads sees who wrote, what changed and what was there before", async () => {
    const carol = await world.person();
    await carol.openDocument(link);
    await carol.sees(whole);
    await lookBack(carol);
    const turns = await turnsOf(carol).allInnerTexts();
    assert.match(turns[0], /bob\.test/, "the newest comes first");
    assert.match(turns.at(-1), /alice\.test/);
    const [came, went] = [await textOf(carol).locator("ins").allTextContents(), await textOf(carol).locator("del").allTextContents()];
    assert.deepEqual([came.join("|"), went.join("|")], ["oats, and the |,|are", "is"]);
    await turnsOf(carol).last().click();
    await reads(carol, first);
    assert.equal(await dialogOf(carol).getByRole("button", { name: "Restore this version" }).count(), 0, "who only reads restores nothing");
    await carol.page.keyboard.press("Escape");
    await dialogOf(carol).waitFor({ state: "detached" });
    await carol.context.close();
  });

  test("by keyboard: through the turns, and whose each word is", async () => {
    await alice.button("History").focus();
    await alice.page.keyboard.press("Enter");
    await turnsOf(alice).first().waitFor();
    await until(() => turnsOf(alice).first().getAttribute("aria-current"), (current) => current === "true", "the newest to be chosen");
    const turns = await turnsOf(alice).count();
    for (let n = 1; n < turns; n++) await alice.page.keyboard.press("ArrowDown");
    await reads(alice, first);
    for (let n = 1; n < turns; n++) await alice.page.keyboard.press("ArrowUp");
    await dialogOf(alice).getByRole("radio", { name: "Who wrote what" }).check();
    await reads(alice, whole);
    const by = await textOf(alice)
      .locator("[title]")
      .evaluateAll((spans) => spans.map((span) => `${span.title}: ${span.textContent}`));
    assert.ok(by.includes("bob.test: oats, and the "), by.join("; "));
    assert.ok(by.some((words) => words.startsWith("alice.test: ") && words.includes("rye")), by.join("; "));
    const legend = dialogOf(alice).getByRole("list", { name: "Colours" });
    assert.deepEqual((await legend.getByRole("listitem").allTextContents()).sort(), ["alice.test", "bob.test"]);
    await alice.page.evaluate(AXE);
    const { violations } = await alice.page.evaluate(() => globalThis.axe.run("dialog"));
    assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), []);
    await alice.page.keyboard.press("Escape");
    await dialogOf(alice).waitFor({ state: "detached" });
    assert.equal(await alice.page.evaluate(() => document.activeElement.textContent), "History", "the focus is where it was");
  });

  test("an earlier text is restored by an edit that everybody gets, and that can be taken back", async () => {
    await lookBack(alice);
    await turnsOf(alice).last().click();
    await reads(alice, first);
    await dialogOf(alice).getByRole("button", { name: "Restore this version" }).click();
    await alice.sees(first);
    await bob.sees(first);
    await settled(alice, bob);
    const bar = alice.page.getByRole("complementary", { name: "Restored" });
    await bar.getByRole("button", { name: "Undo" }).click();
    await alice.sees(whole);
    await bob.sees(whole);
    // Once something else was written, that is what undo would take back: it is offered no more.
    await lookBack(alice);
    await turnsOf(alice).last().click();
    await reads(alice, first);
    await dialogOf(alice).getByRole("button", { name: "Restore this version" }).click();
    await bar.getByRole("button", { name: "Undo" }).waitFor();
    await alice.typeAtEnd("x");
    await bar.getByRole("button", { name: "Undo" }).waitFor({ state: "detached" });
    await alice.page.keyboard.press("Control+z");
    await alice.sees(first);
    await alice.page.keyboard.press("Control+z");
    await alice.sees(whole);
    await settled(alice, bob);
    assert.deepEqual([...alice.complaints, ...bob.complaints], []);
  });

  test("without a network, too", async () => {
    await alice.context.setOffline(true);
    await alice.typeAtEnd("Alone. ");
    await lookBack(alice);
    assert.match((await turnsOf(alice).allInnerTexts())[0], /alice\.test/);
    assert.match((await textOf(alice).locator("ins").allTextContents()).join(""), /Alone\. $/);
    await alice.page.keyboard.press("Escape");
    await alice.context.setOffline(false);
    await bob.sees(`${whole}Alone. `);
  });

  test("a turn that touched thousands of places, and who wrote what of them", async () => {
    const lines = Array.from({ length: 2_000 }, (_, n) => `${n}. Rye and oats. 🌾\n`);
    const before = lines.join("");
    const link = await alice.newDocument(`Many places ${Date.now()}`);
    await alice.share("bob.test");
    await alice.change([{ from: 0, insert: before }]);
    await alice.statusSays(/^Published/);
    await bob.openDocument(link);
    await bob.mayWrite();
    await bob.sees(before);
    let from = 0;
    await bob.change(
      lines.map((line) => {
        const change = { from, insert: "e\u{301} " };
        from += change.insert.length + line.length;
        return change;
      }),
    );
    await bob.statusSays(/^Published/);
    await lookBack(bob);
    assert.equal(await textOf(bob).locator("ins").count(), lines.length);
    await dialogOf(bob).getByRole("radio", { name: "Who wrote what" }).check();
    await until(() => textOf(bob).locator("[title]").count(), (count) => count === 2 * lines.length, "a word of each in turn");
    await turnsOf(bob).last().click();
    await reads(bob, before);
    await dialogOf(bob).getByRole("button", { name: "Restore this version" }).click();
    await bob.sees(before);
    await bob.page.getByRole("complementary", { name: "Restored" }).getByRole("button", { name: "Undo" }).click();
    await bob.sees(lines.map((line) => `e\u{301} ${line}`).join(""));
  });
});
