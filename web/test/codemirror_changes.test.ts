import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ChangeSet, Text } from "@codemirror/state";
import { expect, test } from "vitest";
import { sectionsOf, splicesOf } from "../src/editor/splices";
import type { Splice } from "../src/wasm/sheaf_web";
import { random, randomCut, randomText } from "./chance";

// The engine maps changes over each other as CodeMirror does. What CodeMirror does is written down in a fixture that the
// engine's tests read; here it is held to the CodeMirror in use. `UPDATE_FIXTURES=1` writes it anew.

const FIXTURE = path.resolve(import.meta.dirname, "../../crates/core/tests/fixtures/codemirror_changes.json");

interface Case {
  length: number;
  a: Splice[];
  b: Splice[];
  c: Splice[];
  aAfterB: Splice[];
  bBeforeA: Splice[];
  aAfterBAndC: Splice[];
  placesInA: number[];
}

function changes(pick: (below: number) => number, text: string): ChangeSet {
  const cuts = Array.from({ length: 2 * pick(5) }, () => randomCut(pick, text)).sort((a, b) => a - b);
  const specs = [];
  for (let i = 0; i < cuts.length; i += 2) {
    const from = cuts[i] ?? 0;
    specs.push({ from, to: pick(3) ? (cuts[i + 1] ?? from) : from, insert: pick(3) ? randomText(pick, 2) : "" });
  }
  return ChangeSet.of(specs, text.length, "\n");
}

function example(seed: number): Case {
  const pick = random(seed);
  const text = randomText(pick, 8);
  const before = Text.of(text.split("\n"));
  const [a, b] = [changes(pick, text), changes(pick, text)];
  const c = changes(pick, b.apply(before).toString());
  const aAfterB = a.map(b);
  return {
    length: text.length,
    a: sectionsOf(a),
    b: sectionsOf(b),
    c: sectionsOf(c),
    aAfterB: splicesOf(aAfterB),
    bBeforeA: splicesOf(b.map(a, true)),
    aAfterBAndC: splicesOf(aAfterB.map(c)),
    placesInA: Array.from({ length: text.length + 1 }, (_, at) => a.mapPos(at, -1)),
  };
}

test("changes cross as the fixture has it", () => {
  const cases = Array.from({ length: 300 }, (_, i) => example(20_261_126 + i));
  if (process.env["UPDATE_FIXTURES"]) {
    writeFileSync(FIXTURE, `[\n${cases.map((one) => JSON.stringify(one)).join(",\n")}\n]\n`);
  }
  expect(cases).toEqual(JSON.parse(readFileSync(FIXTURE, "utf8")));
});
