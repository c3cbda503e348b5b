// Makes the README's picture, docs/images/two-people-writing.png: two real browsers on a real network, side by side.
//
//     node e2e/picture.mjs

import { writeFileSync } from "node:fs";
import path from "node:path";
import { makeWorld, settled } from "./world.mjs";

const TARGET = path.resolve(import.meta.dirname, "../../docs/images/two-people-writing.png");

const TEXT = `# The harvest supper

Everyone brings a dish, and everyone writes down what they bring. Whoever comes *first* lays the long table; whoever comes **last** lights the lamps.

- oat bread, three loaves
- plum jam from the north slope
`;

const world = await makeWorld();
try {
  const look = { viewport: { width: 620, height: 600 }, deviceScaleFactor: 1.5 };
  const alice = await world.signedIn("alice.test", look);
  const link = await alice.newDocument("Harvest supper");
  await alice.typeAtEnd(TEXT.replaceAll("\n- ", "\n"));
  await alice.change([{ from: 0, to: (await alice.wholeText()).length, insert: TEXT }]);
  await alice.share("bob.test");
  const bob = await world.signedIn("bob.test", { ...look, colorScheme: "dark" });
  await bob.openDocument(link);
  await bob.mayWrite();
  await bob.typeAtEnd("- and a song or two");
  await settled(alice, bob);
  await alice.text.evaluate((content) => {
    const { view } = content.cmTile.root;
    const at = view.state.doc.toString().indexOf("the long table");
    view.dispatch({ selection: { anchor: at, head: at + "the long table".length } });
    view.focus();
  });
  await alice.statusSays(/^Published.*2 people/);
  await bob.statusSays(/^Published.*2 people/);
  // Bob writes last, and Alice selects last: both names are fresh, and so shown.
  await bob.page.locator(".sheaf-selection").first().waitFor();
  await bob.page.keyboard.type(".");
  await alice.sees(/two\.$/);
  await alice.page.locator(".sheaf-caret").waitFor();
  const shots = await Promise.all([alice, bob].map((person) => person.page.screenshot({ scale: "device" })));

  const frame = await world.person({ viewport: { width: 1320, height: 680 }, deviceScaleFactor: 1.5 });
  await frame.page.goto("about:blank");
  await frame.page.setContent(`
    <style>
      body { margin: 0; display: flex; gap: 24px; padding: 28px; background: #d9d4c7; }
      img { width: 620px; height: 600px; border-radius: 12px; box-shadow: 0 12px 32px rgb(60 50 30 / .28); }
    </style>
    ${shots.map((shot) => `<img src="data:image/png;base64,${shot.toString("base64")}">`).join("")}`);
  await frame.page.waitForFunction(() => [...document.images].every((image) => image.complete));
  writeFileSync(TARGET, await frame.page.screenshot({ clip: { x: 0, y: 0, width: 1320, height: 656 }, scale: "device" }));
} finally {
  await world.close();
}
