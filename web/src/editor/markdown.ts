import { HighlightStyle, Language, defineLanguageFacet, languageDataProp, syntaxHighlighting, syntaxTree } from "@codemirror/language";
import { EditorSelection, RangeSetBuilder, type Extension, type StateCommand } from "@codemirror/state";
import { Decoration, ViewPlugin, keymap, type DecorationSet, type EditorView, type ViewUpdate } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { Strikethrough, TaskList, parser } from "@lezer/markdown";

// `@lezer/markdown` directly: the language package around it brings HTML, CSS and JavaScript along, which prose does not
// need and which nearly double the editor's size.

const data = defineLanguageFacet({});
const language = new Language(
  data,
  parser.configure([Strikethrough, TaskList, { props: [languageDataProp.add((type) => (type.isTop ? data : undefined))] }]),
  [],
  "markdown",
);

const style = HighlightStyle.define([
  { tag: tags.heading1, class: "md-heading md-h1" },
  { tag: tags.heading2, class: "md-heading md-h2" },
  { tag: [tags.heading3, tags.heading4, tags.heading5, tags.heading6], class: "md-heading md-h3" },
  { tag: tags.emphasis, class: "md-emphasis" },
  { tag: tags.strong, class: "md-strong" },
  { tag: tags.strikethrough, class: "md-struck" },
  { tag: tags.monospace, class: "md-code" },
  { tag: tags.link, class: "md-link" },
  { tag: tags.url, class: "md-url" },
  { tag: [tags.processingInstruction, tags.contentSeparator, tags.labelName], class: "md-mark" },
]);

const lineClasses: Record<string, string> = {
  ATXHeading1: "md-line-h1",
  ATXHeading2: "md-line-h2",
  ATXHeading3: "md-line-h3",
  Blockquote: "md-line-quote",
  FencedCode: "md-line-code",
  CodeBlock: "md-line-code",
  HorizontalRule: "md-line-rule",
};

function lineDecorations(view: EditorView): DecorationSet {
  const builder = new RangeSetBuilder<Decoration>();
  const classes = new Map<number, Set<string>>();
  for (const { from, to } of view.visibleRanges) {
    syntaxTree(view.state).iterate({
      from,
      to,
      enter(node) {
        const name = lineClasses[node.name];
        if (!name) return;
        const end = Math.min(node.to, to);
        for (let at = Math.max(node.from, from); at <= end; ) {
          const line = view.state.doc.lineAt(at);
          const set = classes.get(line.from) ?? new Set();
          classes.set(line.from, set.add(name));
          at = line.to + 1;
        }
      },
    });
  }
  for (const [at, names] of [...classes].sort(([a], [b]) => a - b)) {
    builder.add(at, at, Decoration.line({ class: [...names].join(" ") }));
  }
  return builder.finish();
}

const lines = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet;

    constructor(view: EditorView) {
      this.decorations = lineDecorations(view);
    }

    update(update: ViewUpdate): void {
      const parsed = syntaxTree(update.startState) !== syntaxTree(update.state);
      if (update.docChanged || update.viewportChanged || parsed) this.decorations = lineDecorations(update.view);
    }
  },
  { decorations: (plugin) => plugin.decorations },
);

const ITEM = /^(\s*)([-*+]|(\d{1,9})([.)])|>)(\s+\[[ xX]\])?(\s+)/;

/** Enter goes on with a list or quote, and ends it on an item left empty. */
const continueItem: StateCommand = ({ state, dispatch }) => {
  const { main } = state.selection;
  if (state.readOnly || !main.empty || state.selection.ranges.length > 1) return false;
  const line = state.doc.lineAt(main.head);
  const match = ITEM.exec(line.text);
  if (!match || main.head < line.from + match[0].length) return false;
  if (syntaxTree(state).resolveInner(main.head, -1).name.includes("Code")) return false;
  const [whole, indent = "", marker = "", number, delimiter = "", task, space = " "] = match;
  if (line.text.length === whole.length) {
    dispatch(state.update({ changes: { from: line.from, to: line.to }, userEvent: "input", scrollIntoView: true }));
    return true;
  }
  const next = number === undefined ? marker : `${Number(number) + 1}${delimiter}`;
  const insert = `\n${indent}${next}${task ? " [ ]" : ""}${space}`;
  dispatch(
    state.update({
      changes: { from: main.head, insert },
      selection: EditorSelection.cursor(main.head + insert.length),
      userEvent: "input",
      scrollIntoView: true,
    }),
  );
  return true;
};

/** Puts a mark around what is selected, or takes it away where it already is. */
function surround(mark: string): StateCommand {
  return ({ state, dispatch }) => {
    if (state.readOnly) return false;
    const size = mark.length;
    dispatch(
      state.update(
        state.changeByRange(({ from, to }) => {
          const marked = state.sliceDoc(from - size, from) === mark && state.sliceDoc(to, to + size) === mark;
          return marked
            ? {
                changes: [
                  { from: from - size, to: from },
                  { from: to, to: to + size },
                ],
                range: EditorSelection.range(from - size, to - size),
              }
            : {
                changes: [
                  { from, insert: mark },
                  { from: to, insert: mark },
                ],
                range: EditorSelection.range(from + size, to + size),
              };
        }),
        { userEvent: "input", scrollIntoView: true },
      ),
    );
    return true;
  };
}

/** Markdown, set as type rather than coloured as code. */
export const markdown: Extension = [
  language.extension,
  syntaxHighlighting(style),
  lines,
  keymap.of([
    { key: "Enter", run: continueItem },
    { key: "Mod-b", run: surround("**") },
    { key: "Mod-i", run: surround("*") },
  ]),
];
