// Draws the icons that the manifest names from the mark, public/icon.svg.
//
//     node e2e/icons.mjs

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";
import { CHROMIUM_FLAGS } from "./world.mjs";

const PUBLIC = path.resolve(import.meta.dirname, "../public");
const PAPER = "#fbfaf6";
/** Of a maskable icon, what is outside of a circle of four fifths may be cut away. */
const ICONS = [
  { name: "icon-192.png", size: 192, share: 0.78, radius: "22%" },
  { name: "icon-512.png", size: 512, share: 0.78, radius: "22%" },
  { name: "icon-maskable-512.png", size: 512, share: 0.54, radius: "0" },
];

const mark = readFileSync(path.join(PUBLIC, "icon.svg"), "utf8");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: CHROMIUM_FLAGS });
try {
  for (const { name, size, share, radius } of ICONS) {
    const page = await browser.newPage({ viewport: { width: size, height: size } });
    await page.setContent(`
      <style>
        body { margin: 0 }
        div { display: grid; place-items: center; height: 100vh; border-radius: ${radius}; background: ${PAPER} }
        svg { width: ${share * 100}vw }
      </style>
      <div>${mark}</div>`);
    writeFileSync(path.join(PUBLIC, name), await page.screenshot({ omitBackground: true }));
    await page.close();
  }
} finally {
  await browser.close();
}
