import { EditorState, type TransactionSpec } from "@codemirror/state";
import { describe, expect, test } from "vitest";
import { Binding, changesOf, plainText, splicesOf, type TextModel, type TextView } from "../src/editor/binding";
import type { Splice } from "../src/wasm/sheaf_web";

/** A text with two sides, as the engine has it: local edits apply at once, others' wait to be taken. */
class Model implements TextModel {
  private untaken: Splice[] = [];

  constructor(public text: string) {}

  takeChanges(): Splice[] {
    return this.untaken.splice(0);
  }

  /** Refuses the next edit, and says in its turn how to undo what the view shows already. */
  refuse = false;

  edit(splices: Splice[]): void {
    for (const splice of splices) {
      if (!this.refuse) this.apply(splice);
      else this.untaken.unshift({ at: splice.at, delete: splice.insert.length, insert: this.removed(splice) });
    }
    this.refuse = false;
  }

  private removed({ at, delete: gone }: Splice): string {
    return this.text.slice(at, at + gone);
  }

  others(splice: Splice): void {
    this.apply(splice);
    this.untaken.push(splice);
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
}

/** A view without a page: a state, and who listens to its transactions. */
class View implements TextView {
  state: EditorState;
  binding: Binding;

  constructor(model: Model) {
    this.state = EditorState.create({ doc: model.text, extensions: plainText });
    this.binding = new Binding(model, this);
  }

  dispatch(spec: TransactionSpec): void {
    const transaction = this.state.update(spec);
    this.state = transaction.state;
    this.binding.handOver(transaction);
  }

  get text(): string {
    return this.state.sliceDoc();
  }
}

function setUp(text: string): { model: Model; view: View } {
  const model = new Model(text);
  return { model, view: new View(model) };
}

/** mulberry32: small, seeded and good enough to choose edits with. */
function random(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const PIECES = ["a", "word ", "\n", "\r\n", "😀", "👩‍👩‍👧", "e\u0301", "שלום", "مرحبا", "é", "\t", "𝒳", "# ", "- "];

function randomText(pick: (below: number) => number, pieces: number): string {
  return Array.from({ length: pick(pieces + 1) }, () => PIECES[pick(PIECES.length)]).join("");
}

/** Where a text can be cut without halving a character. */
function randomCut(pick: (below: number) => number, text: string): number {
  const at = pick(text.length + 1);
  return /[\uD800-\uDBFF]/.test(text.charAt(at - 1)) && /[\uDC00-\uDFFF]/.test(text.charAt(at)) ? at - 1 : at;
}

function randomSplice(pick: (below: number) => number, text: string): Splice {
  const cuts = [randomCut(pick, text), randomCut(pick, text)];
  const [from, to] = [Math.min(...cuts), Math.max(...cuts)];
  return { at: from, delete: to - from < 12 || pick(20) === 0 ? to - from : 0, insert: randomText(pick, 4) };
}

describe("whatever both sides do, in whatever order, the shown text becomes the engine's", () => {
  const first = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
  test.each(Array.from({ length: 300 }, (_, i) => first + i))("seed %i", (seed) => {
    const pick = random(seed);
    const { model, view } = setUp(randomText(pick, 40));
    for (let step = 0; step < 60; step++) {
      switch (pick(4)) {
        case 0:
          for (let n = pick(4); n >= 0; n--) model.others(randomSplice(pick, model.text));
          break;
        case 1: {
          // Deliberately anywhere, in the middle of a pair too.
          const a = pick(view.state.doc.length + 1);
          const b = Math.min(view.state.doc.length, a + pick(6));
          view.dispatch({ changes: { from: a, to: pick(2) ? a : b, insert: randomText(pick, 3) } });
          break;
        }
        case 2: {
          const two = [randomCut(pick, view.text), randomCut(pick, view.text)].sort((a, b) => a - b);
          view.dispatch({ changes: two.map((from) => ({ from, insert: randomText(pick, 2) })) });
          break;
        }
        default:
          view.binding.show(pick(3) === 0 ? { mayShow: () => false } : {});
      }
    }
    view.binding.show();
    expect(view.text).toBe(model.text);
    expect(view.binding.even).toBe(true);
  });
});

test("a caret stays with its text when others write before, at and after it", () => {
  const { model, view } = setUp("The quick fox");
  view.dispatch({ selection: { anchor: 4, head: 9 } });
  model.others({ at: 0, delete: 0, insert: "Look! " });
  model.others({ at: model.text.length, delete: 0, insert: " jumps" });
  view.binding.show();
  const { anchor, head } = view.state.selection.main;
  expect(view.state.sliceDoc(anchor, head)).toBe("quick");
});

test("what others write is not handed back", () => {
  const { model, view } = setUp("one");
  model.others({ at: 3, delete: 0, insert: " two" });
  view.binding.show();
  view.binding.show();
  expect(model.text).toBe("one two");
  expect(view.text).toBe("one two");
});

test("what is put off crosses what is typed meanwhile", () => {
  const { model, view } = setUp("ab");
  model.others({ at: 1, delete: 0, insert: "REMOTE" });
  view.binding.show({ mayShow: () => false });
  expect(view.text).toBe("ab");
  expect(view.binding.even).toBe(false);
  view.dispatch({ changes: { from: 2, insert: "!" } });
  expect(model.text).toBe("aREMOTEb!");
  view.binding.show();
  expect(view.text).toBe("aREMOTEb!");
});

test("an edit that the engine refuses is taken back", () => {
  const { model, view } = setUp("The quick fox");
  model.refuse = true;
  view.dispatch({ changes: { from: 4, to: 9, insert: "slow" } });
  expect(view.text).toBe("The slow fox");
  view.binding.show();
  expect(view.text).toBe("The quick fox");
  view.dispatch({ changes: { from: 13, insert: "!" } });
  expect(model.text).toBe("The quick fox!");
});

test("undo takes the caret to what came back", () => {
  const { model, view } = setUp("first second");
  model.others({ at: 6, delete: 0, insert: "and " });
  view.binding.show({ follow: true });
  expect(view.state.selection.main.head).toBe(10);
});

test("pasted lines end in \\n alone, and lines of others keep their \\r", () => {
  const { model, view } = setUp("theirs\r\nkept");
  view.dispatch({ changes: { from: 0, insert: "a\r\nb\rc\n" } });
  expect(model.text).toBe("a\nb\nc\ntheirs\r\nkept");
  expect(view.text).toBe(model.text);
});

test("half a character never reaches the engine", () => {
  const { model, view } = setUp("x😀y");
  view.dispatch({ changes: { from: 2, to: 3 } });
  expect(view.text).toBe("x\uFFFDy");
  expect(model.text).toBe(view.text);
  view.dispatch({ changes: { from: 1, insert: "\uD83D" } });
  expect(model.text).toBe("x\uFFFD\uFFFDy");
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
  const model = new Model("abcd");
  model.edit(splicesOf(changes));
  expect(model.text).toBe(after);
});
