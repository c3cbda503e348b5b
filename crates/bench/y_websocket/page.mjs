// The least editor there is over y-websocket: what `web/e2e/crowd.mjs` types in and watches, as it does in the app.
//
// It is drawn by the same editor. Nobody's words are signed, stored or verified, and there is one server that everyone trusts.

import { EditorState } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { yCollab } from "y-codemirror.next";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

const doc = new Y.Doc();
const server = new URLSearchParams(location.search).get("server");
const provider = new WebsocketProvider(server, "crowd", doc, { disableBc: true });
provider.on("sync", (is) => {
  if (!is || document.querySelector(".cm-content")) return;
  const text = doc.getText("text");
  const extensions = [
    EditorView.lineWrapping,
    EditorView.contentAttributes.of({ "aria-label": "Document text" }),
    yCollab(text, provider.awareness),
  ];
  new EditorView({ state: EditorState.create({ doc: text.toString(), extensions }), parent: document.body });
});
