// The npm package ws with settings of compression: `node deflate.js client URL SETTINGS...` exchanges with an echo server
// and prints what went wrong with each as JSON; `node deflate.js server SETTINGS` echoes, and prints its URL first.
const assert = require("node:assert");
const { WebSocket, WebSocketServer } = require("ws");

const [mode, ...rest] = process.argv.slice(2);

function* messages() {
  const words = Array.from({ length: 11 }, (_, i) => Array.from({ length: 32 << i }, (_, j) => (j * j * 7919 + j) % 61));
  yield Buffer.from(words.flatMap((word) => [...word, ...word]));
  yield Buffer.from([...words.flat(), ...words.flat()]);
  yield* [Buffer.alloc(0), Buffer.alloc(0), Buffer.alloc(1 << 20), Buffer.from("end")];
}

async function exchange(url, settings) {
  const socket = new WebSocket(url, { perMessageDeflate: JSON.parse(settings) });
  socket.setMaxListeners(0);
  const next = (type) => new Promise((resolve, reject) => {
    socket.once(type, resolve);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error(`no ${type}`)));
  });
  await next("open");
  assert.match(socket.extensions, /permessage-deflate/);
  for (const message of messages()) {
    let answer = next("message");
    socket.send(message);
    assert((await answer).equals(message));
    answer = next("message");
    socket.send(message.subarray(0, 300), { fin: false });
    socket.send(message.subarray(300), { fin: true });
    assert((await answer).equals(message));
  }
  const closed = next("close");
  socket.close(1000);
  assert.equal(await closed, 1000);
}

async function client(url, ...all) {
  const problems = [];
  for (const settings of all) {
    problems.push(await exchange(url, settings).then(() => null, String));
  }
  console.log(JSON.stringify(problems));
  process.exit();
}

function server(settings) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: JSON.parse(settings) });
  server.on("listening", () => console.log(`ws://127.0.0.1:${server.address().port}`));
  server.on("connection", (socket) => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })));
}

(mode === "client" ? client : server)(...rest);
