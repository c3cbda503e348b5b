import { mount } from "svelte";
import App from "./App.svelte";
import "./styles/app.css";

// OAuth on a local network returns to 127.0.0.1, and what is kept for one origin is not there for another.
if (location.hostname === "localhost") location.hostname = "127.0.0.1";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");
mount(App, { target });
