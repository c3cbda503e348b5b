// The editor that ours is drawn by, with nothing behind it: what a key costs at least, on this machine and in this browser.

import { EditorView } from "@codemirror/view";

const view = new EditorView({
  extensions: [EditorView.lineWrapping, EditorView.contentAttributes.of({ "aria-label": "Document text" })],
  parent: document.body,
});
view.dom.style.height = "100vh";
globalThis.show = (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
