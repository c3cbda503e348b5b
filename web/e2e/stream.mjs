// A Jetstream that a test has in its hands: it passes on what the real one says, and whatever else it is told to say.
// (The browser's own way to stand in for a WebSocket does not reach into workers, where the engine runs.)

import { once } from "node:events";
import { WebSocket, WebSocketServer } from "ws";

/** Stands between one person's browser and `jetstream`, an address like `ws://localhost:1234`; one that is down refuses everybody. */
export async function streamFor(person, jetstream, { down = false } = {}) {
  const stream = new Stream(jetstream, down);
  await once(stream.server, "listening");
  await person.context.route("**/config.json", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, json: { ...(await answer.json()), jetstream: [stream.address] } });
  });
  return stream;
}

class Stream {
  /** What the real one has said. */
  heard = [];

  constructor(jetstream, down) {
    this.server = new WebSocketServer({ host: "127.0.0.1", port: 0, ...(down ? { verifyClient: () => false } : {}) });
    this.server.on("connection", (socket, { url }) => {
      const real = new WebSocket(new URL(url, jetstream));
      real.on("message", (data) => {
        this.heard.push(JSON.parse(data.toString()));
        socket.send(data.toString());
      });
      real.on("close", () => socket.close());
      real.on("error", () => socket.close());
      socket.on("close", () => real.close());
    });
  }

  /** How many listen to it. */
  get listeners() {
    return this.server.clients.size;
  }

  get address() {
    return `ws://127.0.0.1:${this.server.address().port}`;
  }

  /** Says something of its own to everybody who listens. */
  say(event) {
    for (const socket of this.server.clients) socket.send(JSON.stringify(event));
  }

  async close() {
    for (const socket of this.server.clients) socket.terminate();
    this.server.close();
    await once(this.server, "close");
  }
}
