import { EditorState, type TransactionSpec } from "@codemirror/state";
import { describe, expect, test, vi } from "vitest";
import { Crossing, type EngineSide, type TextView } from "../src/editor/crossing";
import { plainText } from "../src/editor/plain_text";
import { changesOf, splicesOf } from "../src/editor/splices";
import type { GoingOn, Splice, Told } from "../src/wasm/sheaf_web";
import { FIRST_SEED, random, randomCut, randomText } from "./chance";

/** What the view says to the engine, and in which order it would arrive. */
type Said = { change: { number: number; seen: number; splices: Splice[] } } | { step: number } | { attach: true };

/** An engine that maps as ours does, with a text of its own; what either side says arrives when the test lets it. */
class Engine implements EngineSide {
  toEngine: Said[] = [];
  toView: Told[] = [];
  private told = 0;
  private unseen: Splice[] = [];
  private length: number;
  private held: Splice[] | undefined;
  /** The number of the last change taken in, and how the text was before. */
  taken = 0;
  private before = "";

  constructor(public text: string) {
    this.length = text.length;
  }

  // What the view calls.
  change(number: number, seen: number, splices: Splice[]): void {
    this.toEngine.push({ change: { number, seen, splices } });
  }
  undo(number: number): void {
    this.toEngine.push({ step: number });
  }
  redo(number: number): void {
    this.toEngine.push({ step: number });
  }
  select(): void {}
  attach(): void {
    this.toEngine.push({ attach: true });
  }

  /** Takes in the next thing the view said. */
  hear(): void {
    const said = this.toEngine.shift();
    if (!said || "attach" in said) return;
    if ("step" in said) {
      this.toView.push({ done: said.step });
      return;
    }
    const { number, seen, splices } = said.change;
    if (this.held) throw new Error("a second change before the first was confirmed");
    const unseen = this.unseen.slice(this.unseen.length - (this.told - seen));
    let length = this.length;
    for (const { delete: gone, insert } of unseen.toReversed()) length += gone - insert.length;
    let change = splices.length > 0 ? changesOf(splices, length) : undefined;
    for (const splice of unseen) {
      change = change?.map(changesOf([splice], length));
      length += splice.insert.length - splice.delete;
    }
    this.unseen = [];
    this.before = this.text;
    this.taken = number;
    for (const splice of change ? splicesOf(change) : []) this.apply(splice);
    this.length = this.text.length;
    this.held = [];
  }

  /** The store has it. */
  store(): void {
    if (!this.held) return;
    const held = this.held;
    this.held = undefined;
    this.toView.push({ done: this.taken });
    for (const splice of held) this.tell(splice);
  }

  others(splice: Splice): void {
    this.apply(splice);
    if (this.held) this.held.push(splice);
    else this.tell(splice);
  }

  private tell(splice: Splice): void {
    if (splice.delete === 0 && splice.insert === "") return;
    this.unseen.push(splice);
    this.told += 1;
    this.length = this.held ? this.length : this.text.length;
    this.toView.push({ text: { number: this.told, splices: [splice], own: false } });
  }

  private apply({ at, delete: gone, insert }: Splice): void {
    const end = at + gone;
    if (end > this.text.length) throw new Error(`a splice reaches to ${end} of ${this.text.length}`);
    for (const cut of [at, end]) {
      if (/^[\uD800-\uDBFF][\uDC00-\uDFFF]$/.test(this.text.slice(cut - 1, cut + 1))) throw new Error(`a character is cut at ${cut}`);
    }
    if (!insert.isWellFormed()) throw new Error("half a character is put in");
    this.text = this.text.slice(0, at) + insert + this.text.slice(end);
  }

  /** It dies, and with it all that was said; what was not stored is lost. Another goes on with what is on the disk. */
  die(goingOn: GoingOn): { next: Engine; attached: { arrived: boolean; splices: Splice[] } } {
    const next = new Engine(this.held ? this.before : this.text);
    next.taken = this.held ? 0 : this.taken;
    const { onItsWay } = goingOn;
    const arrived = onItsWay !== undefined && next.taken >= onItsWay.number;
    const text = arrived ? new Engine(goingOn.text).with(onItsWay.splices) : goingOn.text;
    const splices = text === next.text ? [] : [{ at: 0, delete: text.length, insert: next.text }];
    next.told = splices.length;
    next.unseen = splices;
    return { next, attached: { arrived, splices } };
  }

  private with(splices: Splice[]): string {
    for (const splice of splices) this.apply(splice);
    return this.text;
  }
}

class View implements TextView {
  state: EditorState;
  engine: Engine;
  readonly text: Crossing;

  constructor(text: string, begins: "attached" | "lastSeen" = "attached") {
    this.engine = new Engine(text);
    this.text = new Crossing({
      change: (number, seen, splices) => this.engine.change(number, seen, splices),
      undo: (number) => this.engine.undo(number),
      redo: (number) => this.engine.redo(number),
      select: () => {},
      attach: () => this.engine.attach(),
    });
    if (begins === "lastSeen") this.text.lastSeen(text);
    else this.text.attach({ text, arrived: false, splices: [] });
    this.state = EditorState.create({ doc: this.text.begin(), extensions: plainText });
    this.text.connect(this);
  }

  dispatch(spec: TransactionSpec): void {
    const transaction = this.state.update(spec);
    this.state = transaction.state;
    this.text.handOver(transaction);
    this.text.sendOn();
  }

  /** The next thing the engine said arrives. */
  hear(): void {
    const told = this.engine.toView.shift();
    if (told !== undefined && typeof told === "object" && !("news" in told || "notTaken" in told || "lastSeen" in told)) this.text.told(told);
  }

  engineDies(): void {
    const { goingOn } = this.text;
    if (!goingOn) throw new Error("the view was never attached");
    const { next, attached } = this.engine.die(goingOn);
    this.text.detach();
    this.engine = next;
    this.text.attach(attached);
  }

  /** Everything arrives. */
  settle(): void {
    for (let i = 0; i < 1_000; i++) {
      this.engine.hear();
      this.engine.store();
      this.hear();
      if (!this.text.pending && this.engine.toView.length === 0 && this.engine.toEngine.length === 0) break;
    }
    this.text.show();
  }

  get shown(): string {
    return this.state.sliceDoc();
  }
}

function randomSplice(pick: (below: number) => number, text: string): Splice {
  const cuts = [randomCut(pick, text), randomCut(pick, text)];
  const [from, to] = [Math.min(...cuts), Math.max(...cuts)];
  return { at: from, delete: to - from < 12 || pick(20) === 0 ? to - from : 0, insert: randomText(pick, 4) };
}

describe("whatever both sides do, in whatever order it arrives, the shown text becomes the engine's", () => {
  test.each(Array.from({ length: 300 }, (_, i) => FIRST_SEED + i))("seed %i", (seed) => {
    const pick = random(seed);
    const view = new View(randomText(pick, 40));
    for (let step = 0; step < 120; step++) {
      switch (pick(8)) {
        case 0:
          for (let n = pick(4); n >= 0; n--) view.engine.others(randomSplice(pick, view.engine.text));
          break;
        case 1: {
          // Deliberately anywhere, in the middle of a pair too.
          const a = pick(view.state.doc.length + 1);
          const b = Math.min(view.state.doc.length, a + pick(6));
          view.dispatch({ changes: { from: a, to: pick(2) ? a : b, insert: randomText(pick, 3) } });
          break;
        }
        case 2: {
          const two = [randomCut(pick, view.shown), randomCut(pick, view.shown)].sort((a, b) => a - b);
          view.dispatch({ changes: two.map((from) => ({ from, insert: randomText(pick, 2) })) });
          break;
        }
        case 3:
          view.text.show(pick(3) === 0 ? () => false : () => true);
          break;
        case 4:
          view.engine.hear();
          break;
        case 5:
          view.engine.store();
          break;
        case 6:
          if (pick(10) === 0) view.text.step("undo");
          break;
        default:
          for (let n = pick(3); n >= 0; n--) view.hear();
      }
    }
    view.settle();
    expect(view.shown).toBe(view.engine.text);
    expect(view.text.even).toBe(true);
    expect(view.text.pending).toBe(false);
  });
});

describe("whenever the engine dies, what was typed is there once", () => {
  test.each(Array.from({ length: 200 }, (_, i) => FIRST_SEED + i))("seed %i", (seed) => {
    const pick = random(seed);
    // One in two has only seen the text before there was an engine.
    const view = new View("", seed % 2 ? "lastSeen" : "attached");
    let typed = 0;
    for (let step = 0; step < 150; step++) {
      switch (pick(7)) {
        case 0:
        case 1:
          // Words that tell each other apart, at the end: nobody else writes there.
          view.dispatch({ changes: { from: view.state.doc.length, insert: `<${(typed += 1)}😀>` } });
          break;
        case 2:
          view.engine.hear();
          break;
        case 3:
          view.engine.store();
          break;
        case 4:
          view.hear();
          break;
        case 5:
          view.text.show();
          break;
        default:
          if (pick(4) === 0) view.engineDies();
      }
    }
    view.engineDies();
    view.settle();
    expect(view.engine.text).toBe(Array.from({ length: typed }, (_, n) => `<${n + 1}😀>`).join(""));
    expect(view.shown).toBe(view.engine.text);
  });
});

test("one change is on its way at a time, and the next takes all that was typed since", () => {
  const view = new View("");
  for (const letter of "abc") view.dispatch({ changes: { from: view.state.doc.length, insert: letter } });
  expect(view.engine.toEngine).toEqual([{ change: { number: 1, seen: 0, splices: [{ at: 0, delete: 0, insert: "a" }] } }]);
  view.engine.hear();
  view.hear();
  expect(view.text.pending, "taken is not stored").toBe(true);
  view.engine.store();
  view.hear();
  expect(view.engine.toEngine).toEqual([{ change: { number: 2, seen: 0, splices: [{ at: 1, delete: 0, insert: "bc" }] } }]);
});

test("what is taken back is what was typed before, not after", () => {
  const view = new View("");
  view.dispatch({ changes: { from: 0, insert: "a" } });
  view.dispatch({ changes: { from: 1, insert: "b" } });
  view.text.step("undo");
  view.dispatch({ changes: { from: 2, insert: "c" } });
  const said: string[] = [];
  for (let i = 0; i < 4; i++) {
    const next = view.engine.toEngine[0];
    if (next && "change" in next) said.push(next.change.splices.map(({ insert }) => insert).join());
    else if (next && "step" in next) said.push("undo");
    view.engine.hear();
    view.engine.store();
    view.hear();
  }
  expect(said).toEqual(["a", "b", "undo", "c"]);
});

test("a caret stays with its text when others write before, at and after it", () => {
  const view = new View("The quick fox");
  view.dispatch({ selection: { anchor: 4, head: 9 } });
  view.engine.others({ at: 0, delete: 0, insert: "Look! " });
  view.engine.others({ at: view.engine.text.length, delete: 0, insert: " jumps" });
  view.settle();
  const { anchor, head } = view.state.selection.main;
  expect(view.state.sliceDoc(anchor, head)).toBe("quick");
});

test("what is put off crosses what is typed meanwhile", () => {
  const view = new View("ab");
  view.engine.others({ at: 1, delete: 0, insert: "REMOTE" });
  view.hear();
  view.text.show(() => false);
  expect(view.shown).toBe("ab");
  expect(view.text.even).toBe(false);
  view.dispatch({ changes: { from: 2, insert: "!" } });
  view.settle();
  expect(view.engine.text).toBe("aREMOTEb!");
  expect(view.shown).toBe("aREMOTEb!");
});

test("an edit that the engine takes back is taken back here", () => {
  const view = new View("The quick fox");
  view.dispatch({ changes: { from: 4, to: 9, insert: "slow" } });
  view.engine.hear();
  view.engine.others({ at: 4, delete: 4, insert: "quick" });
  view.settle();
  expect(view.shown).toBe("The quick fox");
});

test("undo takes the caret to what came back", () => {
  const view = new View("first second");
  view.text.told({ text: { number: 1, splices: [{ at: 6, delete: 0, insert: "and " }], own: true } });
  view.text.show();
  expect(view.state.selection.main.head).toBe(10);
});

test("others' places are told in the engine's text, and are shown in one's own", () => {
  const view = new View("one three");
  view.dispatch({ changes: { from: 0, insert: "> " } });
  view.text.showCarets([{ person: 1, anchor: 4, head: 9 }]);
  expect(view.text.carets).toEqual([{ person: 1, anchor: 6, head: 11 }]);
  view.engine.others({ at: 4, delete: 0, insert: "two " });
  view.hear();
  expect(view.text.carets).toEqual([{ person: 1, anchor: 6, head: 15 }]);
});

test("a view that shows another text than the engine says so, and begins anew", () => {
  const view = new View("The same 😀");
  const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
  // As `view_text` sums it.
  view.text.told({ check: { number: 0, length: 11, sum: 0x981832d3 } });
  expect(view.engine.toEngine).toEqual([]);
  view.text.told({ check: { number: 0, length: 11, sum: 1 } });
  expect(view.engine.toEngine).toEqual([{ attach: true }]);
  expect(warned).toHaveBeenCalledOnce();
  warned.mockRestore();
});

test("pasted lines end in \\n alone, and lines of others keep their \\r", () => {
  const view = new View("theirs\r\nkept");
  view.dispatch({ changes: { from: 0, insert: "a\r\nb\rc\n" } });
  view.settle();
  expect(view.engine.text).toBe("a\nb\nc\ntheirs\r\nkept");
  expect(view.shown).toBe(view.engine.text);
});

test("half a character never reaches the engine", () => {
  const view = new View("x😀y");
  view.dispatch({ changes: { from: 2, to: 3 } });
  expect(view.shown).toBe("x\uFFFDy");
  view.settle();
  expect(view.engine.text).toBe(view.shown);
  view.dispatch({ changes: { from: 1, insert: "\uD83D" } });
  view.settle();
  expect(view.engine.text).toBe("x\uFFFD\uFFFDy");
});

test("splices and changes say the same", () => {
  const splices: Splice[] = [
    { at: 0, delete: 1, insert: "XY" },
    { at: 3, delete: 0, insert: "\n" },
    { at: 0, delete: 2, insert: "" },
  ];
  const changes = changesOf(splices, 4);
  const state = EditorState.create({ doc: "abcd", extensions: plainText });
  const after = state.update({ changes }).newDoc.toString();
  expect(after).toBe("b\ncd");
  expect(changes.apply(EditorState.create({ doc: "abcd", extensions: plainText }).doc).toString()).toBe(after);
  expect(splicesOf(changes).length).toBeGreaterThan(0);
});

test("a view that shows a text as it was last seen takes what is typed, and goes on from both", () => {
  const view = new View("Last seen.", "lastSeen");
  expect(view.shown).toBe("Last seen.");
  view.dispatch({ changes: { from: 0, insert: "Typed. " }, selection: { anchor: 7 } });
  view.text.step("undo");
  view.text.select();
  expect(view.engine.toEngine, "there is no engine yet").toEqual([]);
  expect(view.text.pending).toBe(true);
  expect(view.text.goingOn, "what it has seen is all that it goes on from").toEqual({ text: "Last seen." });

  view.text.attach({ arrived: false, splices: [{ at: 10, delete: 0, insert: " Since." }] });
  view.text.show();
  expect(view.shown).toBe("Typed. Last seen. Since.");
  expect(view.state.selection.main.head, "the caret stays").toBe(7);
  expect(view.engine.toEngine).toEqual([{ change: { number: 1, seen: 1, splices: [{ at: 0, delete: 0, insert: "Typed. " }] } }]);
  view.text.told({ done: 1 });
  expect(view.engine.toEngine.at(-1), "what was asked for after it follows").toEqual({ step: 2 });
});
