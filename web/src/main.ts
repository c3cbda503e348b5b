import { mount } from "svelte";
import { account } from "./account.svelte";
import App from "./App.svelte";
import "./styles/app.css";

// OAuth on a local network returns to 127.0.0.1, and what is kept for one origin is not there for another.
if (location.hostname === "localhost") location.hostname = "127.0.0.1";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");
mount(App, { target });

// Only a built app can be kept, and only where the page is safe from others on the way. It is kept when there is nothing more
// urgent: nobody waits for it.
if (import.meta.env.PROD && "serviceWorker" in navigator) void account.ready.catch(() => {}).then(keep);

async function keep(): Promise<void> {
  if (document.readyState !== "complete") await new Promise((loaded) => addEventListener("load", loaded, { once: true }));
  try {
    const [{ keepApp }, { default: NewerSheaf }] = await Promise.all([import("./newer.svelte"), import("./parts/NewerSheaf.svelte")]);
    mount(NewerSheaf, { target: document.body });
    await keepApp();
  } catch {
    // The browser keeps nothing for this page, or the host is away: then the app comes from the host each time.
  }
}
